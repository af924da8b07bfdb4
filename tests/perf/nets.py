"""The networks that are timed, as lists of layers: from one list come the counts
of products here, the peers' models in peers.py and, for shapes.py, the text of a
.net file. A layer is a dict: `op` and its arguments. Shapes are of one sample:
(c, h, w), (n,), or (places, n) of a text.
"""


def conv(out, k, stride=1, pad=0, dilation=1, groups=1, bias=True):
    return {"op": "conv", "out": out, "k": k, "stride": stride, "pad": pad,
            "dilation": dilation, "groups": groups, "bias": bias}


def linear(out):
    return {"op": "linear", "out": out}


def maxpool(k, stride=None):
    return {"op": "maxpool", "k": k, "stride": stride or k}


def dropout(p):
    return {"op": "dropout", "p": p}


def block(out, stride=1):
    """Two 3x3 convolutions with batch normalisation, and the way around them."""
    return {"op": "block", "out": out, "stride": stride}


def first(n):
    """The first n numbers of a flat sample."""
    return {"op": "first", "n": n}


def attend(heads, p):
    """Causal attention and a perceptron of four times the width, each behind a
    layer norm, with dropout and a way around."""
    return {"op": "attend", "heads": heads, "p": p}


RELU, BN = {"op": "relu"}, {"op": "batchnorm"}
FLATTEN, MEAN = {"op": "flatten"}, {"op": "mean"}


def conv_bn(out, k=3, stride=1, pad=1):
    return [conv(out, k, stride, pad, bias=False), BN, RELU]


def vgg():
    layers = []
    for c in (32, 64, 128):
        layers += conv_bn(c) + conv_bn(c) + [maxpool(2)]
    return layers + [FLATTEN, linear(10)]


def lenet(p=0.5):
    layers = []
    for c in (6, 16):
        layers += [conv(c, 5), dropout(p), RELU, maxpool(2)]
    return layers + [FLATTEN, linear(120), RELU, linear(84), RELU, linear(10)]


TEXT = "frontend/LANGUAGE.md"  # what models/attention.net reads
PLACES = 64


def attention(width=64, heads=4, p=0.1):
    with open(TEXT) as f:
        characters = len(set(f.read()))
    return ([{"op": "embedding", "k": characters, "out": width},
             {"op": "position"}] + [attend(heads, p)] * 2 +
            [{"op": "layernorm"}, linear(characters)])


IMAGE = (3, 32, 32)
# name: layers, shape of a sample; the file is in FILES
NETS = {
    "lenet": lenet(),
    "mlp": [FLATTEN, first(784), linear(512), RELU, linear(512), RELU,
            linear(10)],
    "vgg": vgg(),
    "resnet20": conv_bn(16) + [block(16)] * 3 + [block(32, 2)] +
                [block(32)] * 2 + [block(64, 2)] + [block(64)] * 2 +
                [MEAN, linear(10)],
    "attention": attention(),
}
SHAPES = {name: (PLACES,) if name == "attention" else IMAGE for name in NETS}
# SGD with momentum, or AdamW on gradients whose norm is clipped to 1
OPTIMIZERS = {name: "adamw" if name == "attention" else "sgd" for name in NETS}
FILES = {"lenet": "models/lenet.net", "mlp": "tests/perf/mlp.net",
         "vgg": "tests/perf/vgg.net", "resnet20": "tests/perf/resnet20.net",
         "attention": "models/attention.net"}
TITLES = {"lenet": "LeNet with dropout", "mlp": "MLP 784-512-512-10",
          "vgg": "VGG with batch normalisation", "resnet20": "ResNet-20",
          "attention": "Attention, 2 blocks of 64"}


def block_layers(layer, shape):
    """The layers of the way through a block, and of that around it."""
    out, stride = layer["out"], layer["stride"]
    through = [conv(out, 3, stride, 1, bias=False), BN, RELU,
               conv(out, 3, 1, 1, bias=False), BN]
    same = stride == 1 and shape[0] == out
    return through, [] if same else [conv(out, 1, stride, bias=False), BN]


def window(n, k, stride, pad=0, dilation=1):
    return (n + 2 * pad - dilation * (k - 1) - 1) // stride + 1


def out_shape(layer, shape):
    op = layer["op"]
    if op == "conv":
        a = (layer["k"], layer["stride"], layer["pad"], layer["dilation"])
        return (layer["out"], window(shape[1], *a), window(shape[2], *a))
    if op == "maxpool":
        a = (layer["k"], layer["stride"])
        return (shape[0], window(shape[1], *a), window(shape[2], *a))
    if op == "block":
        for inner in block_layers(layer, shape)[0]:
            shape = out_shape(inner, shape)
        return shape
    if op == "flatten":
        n = 1
        for d in shape:
            n *= d
        return (n,)
    if op == "mean":
        return (shape[0],)
    if op == "first":
        return (layer["n"],)
    if op == "linear":
        return shape[:-1] + (layer["out"],)
    if op == "embedding":
        return shape + (layer["out"],)
    return shape


def products(layer, shape):
    """Products of one sample, forward, of a layer with weights; else 0."""
    out = out_shape(layer, shape)
    if layer["op"] == "conv":
        return (out[0] * out[1] * out[2] * shape[0] // layer["groups"] *
                layer["k"] ** 2)
    if layer["op"] == "attend":
        t, n = shape
        return 12 * t * n * n + 2 * t * t * n
    if layer["op"] != "linear":
        return 0
    rows = shape[0] if len(shape) > 1 else 1
    return rows * shape[-1] * out[-1]


def walk(layers, shape):
    """All layers, those inside of blocks too, with the shapes they get."""
    for layer in layers:
        if layer["op"] == "block":
            for way in block_layers(layer, shape):
                yield from walk(way, shape)
        else:
            yield layer, shape
        shape = out_shape(layer, shape)


def flops(layers, shape=IMAGE):
    """Products and sums a sample: of a training step (forward, by weights, and by
    inputs but for a first layer that gets the data), and of an evaluation."""
    counts = [n for n in (products(l, s) for l, s in walk(layers, shape)) if n]
    first = 0 if layers[0]["op"] == "embedding" else counts[0]
    return 2 * (3 * sum(counts) - first), 2 * sum(counts)


# --- text of a .net file ------------------------------------------------------

DEFAULTS = {"stride": 1, "pad": 0, "dilation": 1, "groups": 1, "bias": True}


BLOCK = """layer block(x: [c, h, w], out, stride = 1) {
  y = x -> conv(out, 3, stride = stride, pad = 1, bias = false) -> batchnorm
        -> relu -> conv(out, 3, pad = 1, bias = false) -> batchnorm
  skip = if stride == 1 and c == out then x
         else x -> conv(out, 1, stride = stride, bias = false) -> batchnorm
  relu(y + skip)
}

"""


def stage(layer):
    op = layer["op"]
    if op == "conv":
        extra = "".join(", %s = %s" % (k, str(layer[k]).lower())
                        for k, v in DEFAULTS.items() if layer[k] != v)
        return "conv(%d, %d%s)" % (layer["out"], layer["k"], extra)
    if op == "maxpool":
        same = layer["stride"] == layer["k"]
        return "maxpool(%d%s)" % (layer["k"], "" if same else
                                  ", %d" % layer["stride"])
    if op == "mean":
        return "mean(axis = [1, 2])"
    if op == "first":
        return "slice(0, 0, %d)" % layer["n"]
    if op in ("linear", "dropout"):
        return "%s(%s)" % (op, layer.get("out", layer.get("p")))
    if op == "block":
        return "block(%d, stride = %d)" % (layer["out"], layer["stride"])
    return op


def net_text(layers, shape, data, label, batch):
    """A program that trains the layers on x and the label of `data`."""
    blocks = BLOCK if any(l["op"] == "block" for l in layers) else ""
    stages = "\n    -> ".join(stage(l) for l in layers)
    return ("%sdata %s\n\nnet net(x: [%s]) {\n  x -> %s\n}\n\ntrain {\n"
            "  loss      = cross_entropy(net(x), %s)\n"
            "  optimizer = sgd(lr = 0.001, momentum = 0.9)\n"
            "  batch     = %d\n}\n" %
            (blocks, data, ", ".join(map(str, shape)), stages, label, batch))
