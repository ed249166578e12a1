r"""A network as a list of operations, which can be looked at and changed.

`trace` writes a PyTorch module down as a `Graph`: convolutions and linear maps with their weights,
additions, clamps (ReLU, ReLU6), means over the image. What the passes of this package change is the
graph: fold the batch norms, equalize, quantize, prune. `Graph` is itself a module, with the weights
as parameters, so that it can be run, trained and saved.

*Folding.* At inference a batch norm is $y \mapsto \gamma (y - \mu) / \sigma + \beta$, a factor and
a constant for each channel, and a convolution $W$ before it can take both over:

$$W'_c = \frac{\gamma_c}{\sigma_c} W_c, \qquad b'_c = \beta_c + \frac{\gamma_c}{\sigma_c}
(b_c - \mu_c).$$

Source: Benoit Jacob and others, *Quantization and training of neural networks for efficient
integer-arithmetic-only inference*, 2018, section 3.2.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

Op = Literal["input", "conv", "linear", "add", "clamp", "mean", "norm"]


@dataclass
class Node:
    """An operation.

    name : that of its output; also of its parameters, `weights[name]` and `biases[name]`.
    op : input; conv, linear (with weight and bias); norm (a batch norm that is not folded); add;
        clamp to [0, high]; mean over height and width.
    inputs : names of the nodes that it takes.
    stride, padding, groups : of a convolution.
    high : where a clamp ends; infinity for ReLU.
    norm : the batch norm's module.
    """

    name: str
    op: Op
    inputs: tuple[str, ...] = ()
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    high: float = float("inf")
    norm: nn.BatchNorm2d | None = field(default=None, repr=False)


class Graph(nn.Module):
    """Nodes in an order in which each comes after its inputs; the last one is the output."""

    def __init__(self, nodes: list[Node]) -> None:
        super().__init__()
        self.nodes = nodes
        self.weights, self.biases = nn.ParameterDict(), nn.ParameterDict()
        self.norms = nn.ModuleDict({node.name: node.norm for node in nodes if node.norm})

    def __getitem__(self, name: str) -> Node:
        """The node of this name."""
        return next(node for node in self.nodes if node.name == name)

    def users(self, name: str) -> list[Node]:
        """The nodes that take the output of this one."""
        return [node for node in self.nodes if name in node.inputs]

    def layers(self) -> Iterator[Node]:
        """The nodes with weights."""
        return (node for node in self.nodes if node.op in ("conv", "linear"))

    def forward(self, x: Tensor) -> Tensor:
        """The network's output."""
        return self.run(x)

    def run(
        self,
        x: Tensor,
        see: Callable[[Node, Tensor], Tensor | None] = lambda node, value: None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """The output.

        `see` is shown every node's value, and may give another in its place; `weights` are used in
        place of the graph's own.
        """
        weights = self.weights if weights is None else weights
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)  # the layout convolutions like
        values: dict[str, Tensor] = {}
        left = {node.name: len(self.users(node.name)) for node in self.nodes}
        for node in self.nodes:
            value = x if node.op == "input" else self.apply_node(node, values, weights)
            other = see(node, value)
            values[node.name] = value if other is None else other
            for name in node.inputs:
                left[name] -= 1
                if not left[name]:
                    del values[name]
        return values[self.nodes[-1].name]

    def apply_node(
        self, node: Node, values: Mapping[str, Tensor], weights: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """The value of a node, from those of its inputs."""
        weights = self.weights if weights is None else weights
        inputs = [values[name] for name in node.inputs]
        if node.op == "conv":
            return functional.conv2d(
                inputs[0], weights[node.name], self.biases[node.name],
                node.stride, node.padding, groups=node.groups,
            )  # fmt: skip
        if node.op == "linear":
            return functional.linear(inputs[0], weights[node.name], self.biases[node.name])
        if node.op == "norm":
            return self.norms[node.name](inputs[0])
        if node.op == "add":
            return inputs[0] + inputs[1]
        if node.op == "clamp":
            return inputs[0].clamp(0.0, node.high)
        return inputs[0].mean((2, 3))


def trace(model: nn.Module) -> Graph:
    """Write a module down as a graph; it shares nothing with the module.

    Raises ValueError for an operation that is not in the list, and names it.
    """
    traced = fx.symbolic_trace(model)
    modules = dict(traced.named_modules())
    nodes: list[Node] = []
    parameters: dict[str, tuple[Tensor, Tensor]] = {}
    alias: dict[str, str] = {}
    for step in traced.graph.nodes:
        if step.op == "output":
            break
        inputs = tuple(alias[other.name] for other in step.all_input_nodes)
        node = _read(step, modules, inputs)
        if node is None:  # the identity
            alias[step.name] = inputs[0]
            continue
        alias[step.name] = node.name
        nodes.append(node)
        if node.op in ("conv", "linear"):
            module = modules[str(step.target)]
            bias = module.bias if module.bias is not None else torch.zeros(len(module.weight))
            parameters[node.name] = module.weight.detach().clone(), bias.detach().clone()
    graph = Graph(nodes)
    for name, (weight, bias) in parameters.items():
        graph.weights[name], graph.biases[name] = nn.Parameter(weight), nn.Parameter(bias)
    return graph.train(model.training)


def _read(step: fx.Node, modules: dict[str, Any], inputs: tuple[str, ...]) -> Node | None:
    """A step of torch.fx as a node; None for one that changes nothing."""
    name = step.name
    if step.op == "placeholder":
        return Node(name, "input")
    module = modules.get(str(step.target)) if step.op == "call_module" else None
    if isinstance(module, nn.Identity | nn.Dropout):
        return None
    if isinstance(module, nn.Conv2d):
        if module.dilation != (1, 1) or module.padding_mode != "zeros":
            raise ValueError(f"{step.target} is a dilated or oddly padded convolution")
        if isinstance(module.padding, str):
            raise ValueError(f"{step.target} has padding {module.padding!r}; give numbers")
        return Node(name, "conv", inputs, module.stride, module.padding, module.groups)
    if isinstance(module, nn.Linear):
        return Node(name, "linear", inputs)
    if isinstance(module, nn.BatchNorm2d):
        copy = nn.BatchNorm2d(module.num_features, module.eps, module.momentum)
        copy.load_state_dict(module.state_dict())
        return Node(name, "norm", inputs, norm=copy)
    if isinstance(module, nn.ReLU) or step.target in (torch.relu, functional.relu, "relu"):
        return Node(name, "clamp", inputs)
    if isinstance(module, nn.ReLU6) or step.target is functional.relu6:
        return Node(name, "clamp", inputs, high=6.0)
    if step.target in (operator.add, torch.add) and len(inputs) == 2:
        return Node(name, "add", inputs)
    if step.target == "mean" and tuple(step.args[1]) in ((2, 3), (-2, -1)):
        return Node(name, "mean", inputs)
    what = (
        type(module).__name__
        if module is not None
        else getattr(step.target, "__name__", step.target)
    )
    raise ValueError(
        f"{step.name} is a {what}, which a graph has no node for; "
        "convolutions, linear maps, batch norms, ReLU, ReLU6, + and mean((2, 3)) are taken"
    )


def fold_norms(graph: Graph) -> Graph:
    """Let each convolution take over the batch norm that follows it; changes the graph.

    Raises ValueError for a batch norm that follows something else.
    """
    for node in [node for node in graph.nodes if node.op == "norm"]:
        before = graph[node.inputs[0]]
        if before.op != "conv" or len(graph.users(before.name)) > 1:
            raise ValueError(f"{node.name} follows {before.name}, which cannot take it over")
        norm = graph.norms.pop(node.name)
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        with torch.no_grad():
            weight, bias = graph.weights[before.name], graph.biases[before.name]
            weight *= factor.view(-1, 1, 1, 1)
            bias.copy_(norm.bias + factor * (bias - norm.running_mean))
        remove(graph, node)
    return graph


def remove(graph: Graph, node: Node) -> None:
    """Take a node with one input out of the graph: its users take that input."""
    for user in graph.users(node.name):
        user.inputs = tuple(node.inputs[0] if name == node.name else name for name in user.inputs)
    graph.nodes.remove(node)
