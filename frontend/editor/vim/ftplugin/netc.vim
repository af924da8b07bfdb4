" Settings for files of netc: the layout of `netc fmt`, and :make.
if exists("b:did_ftplugin")
  finish
endif
let b:did_ftplugin = 1

setlocal expandtab shiftwidth=2 softtabstop=2 textwidth=100
setlocal comments=:# commentstring=#\ %s
setlocal formatoptions-=t formatoptions+=croql
setlocal formatprg=netc\ fmt\ -
setlocal makeprg=netc\ check\ %:S
setlocal errorformat=%f:%l:%c:\ error[%*[^]]]:\ %m,%f:%l:%c:\ note:\ %m
setlocal errorformat+=%+Ghelp:\ %m,%-G%.%#

let b:undo_ftplugin = "setlocal expandtab< shiftwidth< softtabstop< textwidth<"
      \ . " comments< commentstring< formatoptions< formatprg< makeprg<"
      \ . " errorformat<"
