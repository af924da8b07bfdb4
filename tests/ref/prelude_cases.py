"""The trainings of make_prelude_refs.py: a row of CASES holds the net, the loss
and so on as .net text, and beside each the same made of PyTorch's own modules
(a formula where it has none)."""

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler

ROWS, BATCH, EPOCHS = 10, 4, 7
STEPS = EPOCHS * -(-ROWS // BATCH)


class Fn(nn.Module):
    """A function as a module."""

    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, x):
        return self.f(x)


def chain(**stages):
    return nn.Sequential(OrderedDict(
        (k, v if isinstance(v, nn.Module) else Fn(v))
        for k, v in stages.items()))


class Attention(nn.Module):
    """MultiheadAttention on one value, or on x and its first three rows."""

    def __init__(self, heads, causal=False, memory=False, mask=None, bias=True):
        super().__init__()
        self.att = nn.MultiheadAttention(6, heads, bias=bias, batch_first=True)
        self.causal, self.memory, self.mask = causal, memory, mask

    def forward(self, x):
        memory = x[:, :3] if self.memory else x
        mask = self.mask
        if self.causal:
            mask = torch.full((5, 5), -math.inf).triu(1)
        if mask is not None:
            mask = mask.to(x.dtype)
        return self.att(x, memory, memory, attn_mask=mask,
                        need_weights=False)[0]


# The fields that a net may read: make_data draws them.
SHAPES = {"row": "[6]", "picture": "[4, 7, 6]", "signal": "[4, 9]",
          "words": "[5, 6]", "ids": "[5]"}

CROSS = ("cross_entropy(net(x), y)", F.cross_entropy)
SQUARED = ("squared_error(net(x), y)", F.mse_loss)


def sgd(lr=0.1):
    return ("sgd(lr = %r)" % lr, lambda p: torch.optim.SGD(p, lr=lr))


def optimizer(text, make, **args):
    return (text + "(" + ", ".join(
        "%s = %s" % (k, str(v).lower() if isinstance(v, bool) else
                     repr(list(v)) if isinstance(v, tuple) else repr(v))
        for k, v in args.items()) + ")", lambda p: make(p, **args))


class Lion(torch.optim.Optimizer):
    """Chen and others, "Symbolic Discovery of Optimization Algorithms", 2023."""

    def __init__(self, params, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas,
                                      weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(torch.sign(b1 * m + (1 - b1) * p.grad),
                       alpha=group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)


CASES = {}


def case(name, text, module, x="row", y="label", start=None, loss=CROSS,
         opt=None, penalty=None, prox=None, schedule=None, average=None,
         before=""):
    """text: the pipeline. penalty: (text, function of a weight). prox: (text,
    function of weight and t, factor). schedule: (text, function of an optimizer
    that gives a scheduler, "step", "epoch" or "loss"). average: (text, function
    of a module, the step from which it counts). before: text before the net."""
    CASES[name] = dict(text=text, module=module, x=x, y=y, start=start or name,
                       loss=loss, opt=opt or sgd(), penalty=penalty, prox=prox,
                       schedule=schedule, average=average, before=before)


# -- layers without parameters, between two linear ones

def activation(name, f, call=None, **more):
    call = call or name
    case(name, "x -> linear(8) as a -> %s -> linear(3) as b" % call,
         lambda: chain(a=nn.Linear(6, 8), f=f, b=nn.Linear(8, 3)),
         start="two", **more)


activation("linear", lambda x: x, "linear(8, bias = false) as m")
CASES["linear"].update(start="linear", module=lambda: chain(
    a=nn.Linear(6, 8), m=nn.Linear(8, 8, bias=False), b=nn.Linear(8, 3)))
activation("relu", F.relu)
activation("relu6", F.relu6, "relu6", opt=sgd(0.5))
activation("leaky_relu", F.leaky_relu)
activation("leaky_relu_slope", lambda x: F.leaky_relu(x, 0.2),
           "leaky_relu(negative_slope = 0.2)")
activation("elu", F.elu)
activation("elu_alpha", lambda x: F.elu(x, 0.5), "elu(0.5)")
activation("selu", F.selu)
activation("gelu", F.gelu)
activation("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"))
activation("silu", F.silu)
activation("sigmoid", torch.sigmoid, opt=sgd(0.5))
activation("tanh", torch.tanh)
activation("softplus", F.softplus)
activation("softplus_far", lambda x: F.softplus(40 * x) / 40,
           "far", before="layer far(x) = softplus(40 * x) / 40\n\n")
activation("softplus_beta", lambda x: F.softplus(x, 3), "softplus(beta = 3)")
activation("log1p", lambda x: torch.log1p(x.square()),
           "square -> log1p", before="layer square(x) = x * x\n\n")
activation("divides", torch.tanh, "even", before="layer even(x: [n]) = "
           "if divides(4, n) then tanh(x) else x\n\n")
case("singular_values", "x -> singular_values(0.5, -0.02, 0.001) -> mean(axis = 0)"
     " -> linear(3) as b", lambda: chain(
         s=lambda x: 0.5 * x - 0.02 * x @ x.mT @ x
         + 0.001 * x @ x.mT @ x @ x.mT @ x,
         m=lambda x: x.mean(1), b=nn.Linear(6, 3)), x="words")
activation("mish", F.mish)
activation("hardsigmoid", F.hardsigmoid, opt=sgd(0.5))
activation("hardswish", F.hardswish)
activation("softsign", F.softsign)
activation("softmax", lambda x: F.softmax(x, -1), opt=sgd(1.0))
activation("log_softmax", lambda x: F.log_softmax(x, -1))
case("glu", "x -> linear(8) as a -> glu -> linear(3) as b",
     lambda: chain(a=nn.Linear(6, 8), f=F.glu, b=nn.Linear(4, 3)))
case("prelu", "x -> linear(8) as a -> prelu as f -> linear(3) as b",
     lambda: chain(a=nn.Linear(6, 8), f=nn.PReLU(), b=nn.Linear(8, 3)))


def on_picture(name, call, f, out, **more):
    case(name, "x -> conv(5, 1) as a -> %s -> flatten -> linear(3) as b" % call,
         lambda: chain(a=nn.Conv2d(4, 5, 1), f=f, v=nn.Flatten(),
                       b=nn.Linear(out, 3)), x="picture",
         start=more.pop("start", "picture_%d" % out), opt=sgd(0.02), **more)


on_picture("flatten", "relu", F.relu, 210)
on_picture("maxpool", "maxpool(2)", nn.MaxPool2d(2), 45)
on_picture("maxpool_pad", "maxpool(3, stride = 2, pad = 1)",
           nn.MaxPool2d(3, 2, 1), 60)
on_picture("maxpool_wide", "maxpool([3, 2], stride = [2, 1], dilation = [1, 2])",
           nn.MaxPool2d((3, 2), (2, 1), dilation=(1, 2)), 60)
on_picture("avgpool", "avgpool(2)", nn.AvgPool2d(2), 45)
on_picture("avgpool_pad", "avgpool(3, stride = 2, pad = 1)",
           nn.AvgPool2d(3, 2, 1), 60)
on_picture("global_avgpool", "global_avgpool", nn.AdaptiveAvgPool2d(1), 5)
on_picture("global_maxpool", "global_maxpool", nn.AdaptiveMaxPool2d(1), 5)
on_picture("adaptive_avgpool", "adaptive_avgpool([3, 4])",
           nn.AdaptiveAvgPool2d((3, 4)), 60)
on_picture("adaptive_parts", "means",
           chain(p=nn.AdaptiveAvgPool2d((3, None))), 90,
           before="layer means(x) = adaptive_parts(7, 3) @ x\n\n")
on_picture("upsample", "avgpool(2) -> upsample([2, 3])",
           chain(p=nn.AvgPool2d(2), u=nn.Upsample(scale_factor=(2, 3))), 270)

# -- layers with parameters

on_picture("conv", "relu -> conv(6, 3) as c", chain(r=F.relu, c=nn.Conv2d(5, 6, 3)),
           120, start="conv")
for name, args, make in (
        ("conv_stride", "6, 3, stride = 2, pad = 1",
         lambda: nn.Conv2d(5, 6, 3, 2, 1)),
        ("conv_dilation", "6, 3, pad = 2, dilation = 2, bias = false",
         lambda: nn.Conv2d(5, 6, 3, 1, 2, 2, bias=False)),
        ("conv_groups", "10, 3, groups = 5", lambda: nn.Conv2d(5, 10, 3, groups=5)),
        ("conv_wide", "6, [1, 3], stride = [2, 1], pad = [0, 1]",
         lambda: nn.Conv2d(5, 6, (1, 3), (2, 1), (0, 1))),
        ("conv_transpose", "6, 3", lambda: nn.ConvTranspose2d(5, 6, 3)),
        ("conv_transpose_stride", "6, 3, stride = 2, pad = 1, output_padding = 1",
         lambda: nn.ConvTranspose2d(5, 6, 3, 2, 1, 1)),
        ("conv_transpose_groups",
         "10, [2, 3], stride = 3, groups = 5, bias = false, dilation = 2",
         lambda: nn.ConvTranspose2d(5, 10, (2, 3), 3, groups=5, bias=False,
                                    dilation=2))):
    kind = "conv_transpose" if "transpose" in name else "conv"
    size = make()(torch.zeros(1, 5, 7, 6)).numel()
    case(name, "x -> conv(5, 1) as a -> relu -> %s(%s) as c -> relu -> flatten"
         " -> linear(3) as b" % (kind, args),
         lambda make=make, size=size: chain(
             a=nn.Conv2d(4, 5, 1), r=F.relu, c=make(), q=F.relu,
             v=nn.Flatten(), b=nn.Linear(size, 3)), x="picture", opt=sgd(0.02))
CASES["conv"].update(
    text="x -> conv(5, 1) as a -> relu -> conv(6, 3) as c -> flatten"
         " -> linear(3) as b",
    module=lambda: chain(a=nn.Conv2d(4, 5, 1), r=F.relu, c=nn.Conv2d(5, 6, 3),
                         v=nn.Flatten(), b=nn.Linear(120, 3)))


def on_signal(name, call, make, **more):
    size = make()(torch.zeros(1, 4, 9)).numel()
    case(name, "x -> %s -> tanh -> flatten -> linear(3) as b" % call,
         lambda: chain(c=make(), t=torch.tanh, v=nn.Flatten(),
                       b=nn.Linear(size, 3)), x="signal", **more)


on_signal("conv1d", "conv1d(6, 3, stride = 2, pad = 1) as c",
          lambda: nn.Conv1d(4, 6, 3, 2, 1))
on_signal("conv1d_groups", "conv1d(6, 3, dilation = 2, groups = 2, "
          "bias = false) as c",
          lambda: nn.Conv1d(4, 6, 3, 1, 0, 2, 2, bias=False))
on_signal("maxpool1d", "maxpool1d(3, stride = 2, pad = 1)",
          lambda: nn.MaxPool1d(3, 2, 1))
on_signal("avgpool1d", "avgpool1d(3, stride = 2, pad = 1)",
          lambda: nn.AvgPool1d(3, 2, 1))

case("batchnorm", "x -> linear(8) as a -> batchnorm as n -> relu"
     " -> linear(3) as b",
     lambda: chain(a=nn.Linear(6, 8), n=nn.BatchNorm1d(8), r=F.relu,
                   b=nn.Linear(8, 3)))
case("batchnorm_picture", "x -> conv(5, 3) as a -> batchnorm(momentum = 0.3)"
     " as n -> relu -> global_avgpool -> linear(3) as b",
     lambda: chain(a=nn.Conv2d(4, 5, 3), n=nn.BatchNorm2d(5, momentum=0.3),
                   r=F.relu, p=nn.AdaptiveAvgPool2d(1), v=nn.Flatten(),
                   b=nn.Linear(5, 3)), x="picture")
case("layernorm", "x -> linear(8) as a -> layernorm as n -> relu"
     " -> linear(3) as b",
     lambda: chain(a=nn.Linear(6, 8), n=nn.LayerNorm(8), r=F.relu,
                   b=nn.Linear(8, 3)))
case("rmsnorm", "x -> linear(8) as a -> rmsnorm as n -> relu -> linear(3) as b",
     lambda: chain(a=nn.Linear(6, 8), n=nn.RMSNorm(8), r=F.relu,
                   b=nn.Linear(8, 3)))
case("groupnorm", "x -> conv(6, 3) as a -> groupnorm(3) as n -> relu"
     " -> global_avgpool -> linear(3) as b",
     lambda: chain(a=nn.Conv2d(4, 6, 3), n=nn.GroupNorm(3, 6), r=F.relu,
                   p=nn.AdaptiveAvgPool2d(1), v=nn.Flatten(),
                   b=nn.Linear(6, 3)), x="picture")
case("embedding", "x -> embedding(7, 4) as e -> mean(axis = 0) -> linear(3) as b",
     lambda: chain(e=nn.Embedding(7, 4), m=lambda x: x.mean(1),
                   b=nn.Linear(4, 3)), x="ids", opt=sgd(0.5))


def attention(name, args, make, **more):
    case(name, "x -> attention(%s) as m -> mean(axis = 0) -> linear(3) as b"
         % args, lambda: chain(m=make(), s=lambda x: x.mean(1),
                               b=nn.Linear(6, 3)), x="words", **more)


attention("attention", "2", lambda: Attention(2), start="attention")
attention("attention_causal", "3, causal = true",
          lambda: Attention(3, causal=True), start="attention")
attention("attention_memory", "2, memory = slice(x, 0, 0, 3)",
          lambda: Attention(2, memory=True), start="attention")
attention("attention_mask",
          "1, mask = [[0, 1, -2, 0, 0.5]], bias = false",
          lambda: Attention(1, bias=False, mask=torch.tensor(
              [[0, 1, -2, 0, 0.5]]).repeat(5, 1)))
CASES["attention_mask"]["text"] = (
    "x -> attention(1, mask = [0, 1, -2, 0, 0.5], bias = false) as m"
    " -> mean(axis = 0) -> linear(3) as b")

# -- losses

TWO = "x -> linear(8) as a -> tanh -> linear(%d) as b"


def two(outputs):
    return lambda: chain(a=nn.Linear(6, 8), t=torch.tanh,
                         b=nn.Linear(8, outputs))


def of_classes(name, call, f, **more):
    case(name, TWO % 3, two(3), start="two", loss=(call, f), **more)


CLASS_WEIGHTS = [0.5, 2.0, 1.25]
of_classes("cross_entropy", *CROSS)
of_classes("cross_entropy_smooth", "cross_entropy(net(x), y, smooth = 0.2)",
           lambda z, y: F.cross_entropy(z, y, label_smoothing=0.2))
of_classes("cross_entropy_weights",
           "cross_entropy(net(x), y, class_weights = %r)" % CLASS_WEIGHTS,
           lambda z, y: F.cross_entropy(
               z, y, torch.tensor(CLASS_WEIGHTS, dtype=z.dtype)))
of_classes("cross_entropy_both", "cross_entropy(net(x), y, smooth = 0.1, "
           "class_weights = %r)" % CLASS_WEIGHTS,
           lambda z, y: F.cross_entropy(
               z, y, torch.tensor(CLASS_WEIGHTS, dtype=z.dtype),
               label_smoothing=0.1))
for name, more, args in (
        ("cross_entropy_places", "", {}),
        ("cross_entropy_places_all", ", smooth = 0.1, class_weights = "
         "[0.5, 2.0, 1.25, 1.0]", dict(label_smoothing=0.1))):
    case(name, "x -> linear(8) as a -> tanh -> linear(4) as b",
         lambda: chain(a=nn.Linear(6, 8), t=torch.tanh, b=nn.Linear(8, 4)),
         x="words", y="tags", start="places",
         loss=("cross_entropy(net(x), y%s)" % more,
               lambda z, y, args=args: F.cross_entropy(
                   z.transpose(1, 2), y, torch.tensor(
                       CLASS_WEIGHTS + [1.0], dtype=z.dtype) if args else None,
                   **args)))
of_classes("nll", "nll(net(x) -> log_softmax, y)",
           lambda z, y: F.nll_loss(F.log_softmax(z, 1), y))
of_classes("pick", "-pick(net(x) -> log_softmax, y)",
           lambda z, y: F.nll_loss(F.log_softmax(z, 1), y))
of_classes("accuracy", "cross_entropy(net(x), y) + "
           "(if accuracy(net(x), y) then 0.2 else 0.1)",
           lambda z, y: F.cross_entropy(z, y) + 0.1 + 0.1 * (
               z.argmax(1) == y).to(z.dtype).mean())
of_classes("top", "cross_entropy(net(x), y) + "
           "(if top(net(x), y, 2) then 0.2 else 0.1)",
           lambda z, y: F.cross_entropy(z, y) + 0.1 + 0.1 * (
               z.topk(2).indices == y[:, None]).any(1).to(z.dtype).mean())
of_classes("hinge", "hinge(net(x), y)", F.multi_margin_loss, opt=sgd(0.02))
of_classes("hinge_margin", "hinge(net(x), y, margin = 0.3)",
           lambda z, y: F.multi_margin_loss(z, y, margin=0.3), opt=sgd(0.01))


def of_pairs(name, call, f, y="pair", **more):
    case(name, TWO % 2, two(2), start="pair", loss=(call, f), y=y, **more)


of_pairs("squared_error", *SQUARED)
of_pairs("absolute_error", "absolute_error(net(x), y)", F.l1_loss)
of_pairs("mean_absolute_error", "mean_absolute_error(net(x), y)", F.l1_loss)
of_pairs("huber", "huber(net(x), y)", F.huber_loss)
of_pairs("huber_delta", "huber(net(x), y, delta = 0.4)",
         lambda z, y: F.huber_loss(z, y, delta=0.4))
of_pairs("smooth_l1", "smooth_l1(net(x), y, beta = 0.4)",
         lambda z, y: F.smooth_l1_loss(z, y, beta=0.4))
of_pairs("binary_cross_entropy", "binary_cross_entropy(net(x), y)",
         F.binary_cross_entropy_with_logits, y="bits")
of_pairs("binary_cross_entropy_far", "binary_cross_entropy(30 * net(x), y)",
         lambda z, y: F.binary_cross_entropy_with_logits(30 * z, y), y="bits",
         opt=sgd(0.001))
of_pairs("binary_cross_entropy_weight",
         "binary_cross_entropy(net(x), y, pos_weight = 3)",
         lambda z, y: F.binary_cross_entropy_with_logits(
             z, y, pos_weight=torch.tensor(3.0, dtype=z.dtype)), y="bits")
case("kl_divergence", TWO % 3 + " -> log_softmax", lambda: chain(
    a=nn.Linear(6, 8), t=torch.tanh, b=nn.Linear(8, 3),
    l=lambda x: F.log_softmax(x, 1)), start="two", y="shares",
    loss=("kl_divergence(net(x), y)",
          lambda z, y: F.kl_div(z, y, reduction="batchmean")))

# -- penalties: on the weights of the two linear layers

def penalty(name, call, f, prox=None, factor=0.02):
    case(name, TWO % 3, two(3), start="two",
         penalty=("%r * %s" % (factor, call), f, factor))
    if prox:
        case("prox_" + name, TWO % 3, two(3), start="two",
             prox=("prox(%r * %s)" % (5 * factor, call), f, prox, 5 * factor))


def shrink(w, t):
    return w.sign() * (w.abs() - t).clamp(min=0)


penalty("l1", "l1(weights)", lambda w: w.abs().sum(), shrink)
penalty("l2", "l2(weights)", lambda w: w.square().sum() / 2,
        lambda w, t: w / (1 + t))
penalty("elastic", "elastic(weights, ratio = 0.3)",
        lambda w: 0.3 * w.abs().sum() + 0.7 * w.square().sum() / 2,
        lambda w, t: shrink(w, 0.3 * t) / (1 + 0.7 * t))
penalty("group_l1", "group_l1(weights)", lambda w: w.norm(dim=1).sum(),
        lambda w, t: w * (1 - t / w.norm(dim=1, keepdim=True)).clamp(min=0))
penalty("max_norm", "max_norm(weights, 0.6)",
        lambda w: (w.norm(dim=1) - 0.6).clamp(min=0).sum(),
        lambda w, t: torch.renorm(w, 2, 0, 0.6))

# -- optimizers

O = torch.optim
for name, text, make, args in (
        ("sgd", "sgd", O.SGD, dict(lr=0.1)),
        ("sgd_momentum", "sgd", O.SGD, dict(lr=0.05, momentum=0.9,
                                            weight_decay=0.01)),
        ("sgd_dampening", "sgd", O.SGD, dict(lr=0.1, momentum=0.8,
                                             dampening=0.4)),
        ("sgd_nesterov", "sgd", O.SGD, dict(lr=0.05, momentum=0.8,
                                            nesterov=True)),
        ("adam", "adam", O.Adam, dict(lr=0.02, weight_decay=0.01)),
        ("adam_amsgrad", "adam", O.Adam, dict(lr=0.05, betas=(0.8, 0.9),
                                              amsgrad=True)),
        ("adamw", "adamw", O.AdamW, dict(lr=0.02, weight_decay=0.1)),
        ("adamw_amsgrad", "adamw", O.AdamW, dict(lr=0.05, amsgrad=True)),
        ("rmsprop", "rmsprop", O.RMSprop, dict(lr=0.01, weight_decay=0.01)),
        ("rmsprop_centered", "rmsprop", O.RMSprop,
         dict(lr=0.005, alpha=0.9, momentum=0.5, centered=True)),
        ("adagrad", "adagrad", O.Adagrad, dict(lr=0.1)),
        ("adagrad_decay", "adagrad", O.Adagrad,
         dict(lr=0.1, lr_decay=0.1, weight_decay=0.01,
              initial_accumulator_value=0.2)),
        ("lion", "lion", Lion, dict(lr=0.01, weight_decay=0.1))):
    case(name, TWO % 3, two(3), start="two", opt=optimizer(text, make, **args))

# -- schedules of the learning rate 0.2

S = lr_scheduler
for name, call, make, each in (
        ("constant", "constant(0.5)",
         lambda o: S.ConstantLR(o, 0.5, STEPS + 1), "step"),
        ("step_decay", "step_decay(at = [0.3, 0.7], factor = 0.5)",
         lambda o: S.MultiStepLR(o, [7, 15], 0.5), "step"),
        ("exponential", "exponential(0.8)",
         lambda o: S.ExponentialLR(o, 0.8), "epoch"),
        ("linear_decay", "linear_decay(to = 0.1)",
         lambda o: S.LinearLR(o, 1.0, 0.1, STEPS), "step"),
        ("polynomial", "polynomial(power = 2)",
         lambda o: S.PolynomialLR(o, STEPS, 2.0), "step"),
        ("cosine", "cosine(to = 0.1)",
         lambda o: S.CosineAnnealingLR(o, STEPS, 0.02), "step"),
        ("warm_up", "warm_up(over = 1 / 3, start = 0.1)",
         lambda o: S.LinearLR(o, 0.1, 1.0, 7), "step"),
        ("one_cycle", "one_cycle()",
         lambda o: S.OneCycleLR(o, 0.2, STEPS, cycle_momentum=False), "step"),
        ("one_cycle_peak", "one_cycle(peak = 0.5, div_factor = 10, "
         "final_div_factor = 100)",
         lambda o: S.OneCycleLR(o, 0.2, STEPS, pct_start=0.5, div_factor=10,
                                final_div_factor=100, cycle_momentum=False),
         "step"),
        ("plateau", "plateau(factor = 0.5, patience = 1, on = train.loss, "
         "delta = 0.5)",
         lambda o: S.ReduceLROnPlateau(o, factor=0.5, patience=1, threshold=0.5,
                                       threshold_mode="abs"), "loss")):
    case("schedule_" + name, TWO % 3, two(3), start="two",
         opt=("sgd(lr = 0.2 * %s)" % call,
              lambda p: torch.optim.SGD(p, lr=0.2)), schedule=(make, each))

A = torch.optim.swa_utils
case("ema", TWO % 3, two(3), start="two", average=(
    "ema(0.8)", lambda m: A.AveragedModel(m, avg_fn=A.get_ema_avg_fn(0.8)), 0))
case("swa", TWO % 3, two(3), start="two",
     average=("swa(start = 0.5)", A.AveragedModel, STEPS // 2 + 1))
