"""Weights that come to a device only while they are used: a network's blocks one after another, from memory or from files.

The moving is diffusers' (``ModuleGroup``: pinned memory, a stream beside the computation, torchao's tensors). The order is the
studio's: diffusers learns it from one whole call, and here blocks are skipped and calls begin in the middle.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from diffusers.hooks.group_offloading import ModuleGroup
from torch import nn

from pipelines.contract import StorageFull
from pipelines.optimize.gauge import free_bytes
from pipelines.optimize.plan import group_of
from pipelines.optimize.quantize import OWN_LAYERS
from pipelines.optimize.scratch import own_folder, sweep

_ALIGNMENT = 64
"""Bytes; where vectors begin elsewhere, CPUs may sum them in another order."""
_PINNED = 0.5
"""Of the free memory, what may be pinned for good: that is faster, and nothing else can have it."""


class _Group(Protocol):
    def onload_(self) -> None:
        """Bring the weights to the device."""

    def offload_(self) -> None:
        """Let them go from there."""


class _InFile:
    """The weights of ``module``, at home in the file ``path``; on the device there are none until they are brought.

    They lie in it as torch lays out memory, so that a CPU computes with a view of the file and rounds as it does anywhere.
    """

    def __init__(self, module: nn.Module, path: Path, device: torch.device) -> None:
        self._path, self._device = path, device
        self._tensors = _tensors(module)
        self._begins = [0]
        with path.open("wb") as file:
            for tensor in self._tensors:
                file.write(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
                file.write(bytes(-file.tell() % _ALIGNMENT))
                self._begins.append(file.tell())
        self.offload_()  # before the next one is written: not all of a model may have room

    def onload_(self) -> None:
        """As ``_Group``."""
        whole = torch.from_file(str(self._path), shared=False, size=self._begins[-1], dtype=torch.uint8).to(self._device)
        for tensor, begin in zip(self._tensors, self._begins, strict=False):
            size = tensor.numel() * tensor.element_size()
            tensor.data = whole[begin : begin + size].view(tensor.dtype).view(tensor.shape)

    def offload_(self) -> None:
        """As ``_Group``; the shapes stay, without the memory."""
        for tensor in self._tensors:
            tensor.data = torch.empty((), dtype=tensor.dtype).expand(tensor.shape)


class _Line:
    """Groups that are brought one after another, where there is a ``stream`` the next one during the work of each."""

    def __init__(self, groups: Sequence[_Group], stream: Any | None) -> None:
        self._groups, self._stream = groups, stream
        self._coming: int | None = None

    def run(self, index: int, forward: Any, *given: Any, **named: Any) -> Any:
        """``forward`` with the weights of group ``index`` at hand."""
        with torch.inference_mode(False):  # a weight set to an inference tensor would stay one
            self._bring(index)
        try:
            return forward(*given, **named)
        finally:
            with torch.inference_mode(False):
                self._groups[index].offload_()

    def _bring(self, index: int) -> None:
        if self._coming != index:
            if self._coming is not None:
                self._groups[self._coming].offload_()
            self._groups[index].onload_()
        if self._stream is None:
            return
        self._stream.synchronize()
        self._coming = index + 1 if index + 1 < len(self._groups) else None
        if self._coming is not None:
            self._groups[self._coming].onload_()


def rest_to(network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Move to ``device`` what of ``network`` belongs to no group; weights in 16 bits become ``dtype``.

    That is a copy on the CPU too: weights that were read are views of their whole file, which would stay in memory for them.
    """
    inside = {each for module in _modules(network).values() for each in module.modules()}
    for module in network.modules():
        if module in inside:
            continue
        for weight in module.parameters(recurse=False):
            weight.data = weight.data.to(device, _wider(weight, dtype), copy=True)
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = buffer.to(device, _wider(buffer, dtype))


def _wider(weight: torch.Tensor, dtype: torch.dtype) -> torch.dtype:
    return dtype if weight.dtype in (torch.float16, torch.bfloat16) else weight.dtype


def keep_away(network: nn.Module, device: torch.device, dtype: torch.dtype, files: Path | None) -> None:
    """Let the groups of ``network`` come to ``device`` only while they run; between that they are in memory, or in ``files``.

    Weights in 16 bits become ``dtype``, a group at a time. Kernels and the like have to be on the blocks before. Raises
    ``StorageFull`` where the disk has no room for the files.
    """
    modules = _modules(network)
    sizes = [weight.numel() * wide.itemsize for each in modules.values() for weight, wide in _widened(each, dtype).items()]
    stream = torch.cuda.Stream(device) if device.type == "cuda" and files is None else None
    folder = None
    if files is not None:
        sweep(files)
        _check_room(sum(sizes), files)
        folder = Path(tempfile.mkdtemp(dir=own_folder(files)))
        weakref.finalize(network, shutil.rmtree, folder, True)
    scarce = folder is None and is_scarce(sum(sizes))
    groups: list[_Group] = []
    for at, module in enumerate(modules.values()):
        for weight, wide in _widened(module, dtype).items():
            weight.data = weight.data.to(wide)
        if folder is None:
            groups.append(_in_memory(module, device, stream, scarce))
        else:
            groups.append(_written(module, folder / f"{at}.bin", device))
    line = _Line(groups, stream)
    for index, module in enumerate(modules.values()):
        for user in _users(network, module):
            user.forward = partial(line.run, index, user.forward)


def _widened(module: nn.Module, dtype: torch.dtype) -> dict[torch.Tensor, torch.dtype]:
    """The weights of a group and what they are to become; a mode of quantization holds what it does."""
    found = {}
    for each in module.modules():
        for weight in (*each.parameters(recurse=False), *each.buffers(recurse=False)):
            found[weight] = weight.dtype if isinstance(each, OWN_LAYERS) else _wider(weight, dtype)
    return found


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    return list(dict.fromkeys([*module.parameters(), *module.buffers()]))


def is_scarce(size_bytes: int) -> bool:
    """Whether the CPU's memory is too little to pin so many bytes for as long as the model is loaded."""
    return size_bytes > _PINNED * (free_bytes() or 0)


def _modules(network: nn.Module) -> dict[str, nn.Module]:
    """The groups by name, in the order in which the network holds them."""
    names = (group_of(name) for name, _ in (*network.named_parameters(), *network.named_buffers()))
    return {name: network.get_submodule(name) for name in dict.fromkeys(names) if name is not None}


def _users(network: nn.Module, group: nn.Module) -> list[nn.Module]:
    """The group itself, and modules elsewhere that share a weight with it, as a head does with its embedding."""
    own, inside = set(group.parameters()), set(group.modules())
    return [group, *(each for each in network.modules() if each not in inside and own & set(each.parameters(recurse=False)))]


def _in_memory(module: nn.Module, device: torch.device, stream: Any | None, scarce: bool) -> ModuleGroup:
    group = ModuleGroup(
        modules=[module],
        offload_device=torch.device("cpu"),
        onload_device=device,
        offload_leader=module,
        onload_leader=module,
        stream=stream,
        record_stream=stream is not None,
        low_cpu_mem_usage=scarce,
    )
    group.offload_()
    return group


def _written(module: nn.Module, path: Path, device: torch.device) -> _InFile:
    try:
        return _InFile(module, path, device)
    except OSError as error:
        raise StorageFull(
            f"weights that come from files could not be written to {path.parent} ({error.strerror}): "
            f"{StorageFull.remedy(error)}, or set STUDIO_OFFLOAD=none.",
            field="offload",
        ) from error


def _check_room(needed: int, files: Path) -> None:
    files.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(files).free
    if needed > free:
        raise StorageFull(
            f"weights that come from files need {needed / 1e9:.1f} GB in {files}, where {free / 1e9:.1f} GB are free: make room, "
            "or set STUDIO_OFFLOAD=none.",
            field="offload",
        )
