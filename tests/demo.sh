#!/bin/sh
# What `make demo` shows: LeNet on few pictures, a share of them with wrong
# labels, without and with dropout. Without it the network learns the wrong
# labels by heart: its training loss falls and its test loss rises. Prints each
# run's accuracy class by class, and the losses of both side by side.
# usage: tests/demo.sh NETC
set -e
netc=$1
model=models/lenet.net
data='shapes(train = 1000, test = 2000, noise = 0.2, wrong = 0.3)'
epochs=50
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# train NAME OPTION..: the log goes to NAME
train() {
  name=$1
  shift
  echo
  echo "--- netc run $model --data '$data' --epochs $epochs $*"
  "$netc" run "$model" --data "$data" --epochs $epochs --print-every 2000 \
    --log "$logs/$name" --quiet "$@"
}

# last NAME SPLIT KEY: the number in the last record of that split
last() {
  sed -n "s/.*\"split\": \"$2\".*\"$3\": \([0-9.e+-]*\).*/\1/p" \
    "$logs/$1" | tail -n 1
}

row() {
  printf '%-18s %14.3f %10.3f %14.1f %%\n' "$2" "$(last "$1" train loss)" \
    "$(last "$1" test loss)" \
    "$(last "$1" test accuracy | awk '{ print 100 * $1 }')"
}

train plain -D p=0
train dropout
echo
printf '%-18s %14s %10s %16s\n' '' 'training loss' 'test loss' 'test accuracy'
row plain 'without dropout'
row dropout 'with dropout'
