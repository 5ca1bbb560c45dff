"""The embedded model's transformer written as other people's programs write theirs: one safetensors file, or one of GGUF."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file, save_file

from pipelines.registry import POCKET_FOLDER

WEIGHTS = POCKET_FOLDER / "transformer" / "diffusion_pytorch_model.safetensors"
# What Lightricks calls the modules that diffusers calls otherwise; written out here, apart from what reads them back.
_ORIGINAL = (
    ("av_cross_attn_video_scale_shift", "av_ca_video_scale_shift_adaln_single"),
    ("av_cross_attn_video_a2v_gate", "av_ca_a2v_gate_adaln_single"),
    ("av_cross_attn_audio_scale_shift", "av_ca_audio_scale_shift_adaln_single"),
    ("av_cross_attn_audio_v2a_gate", "av_ca_v2a_gate_adaln_single"),
    ("video_a2v_cross_attn_scale_shift_table", "scale_shift_table_a2v_ca_video"),
    ("audio_a2v_cross_attn_scale_shift_table", "scale_shift_table_a2v_ca_audio"),
    ("prompt_adaln", "prompt_adaln_single"),
    ("time_embed", "adaln_single"),
    ("audio_proj_in", "audio_patchify_proj"),
    ("proj_in", "patchify_proj"),
    ("norm_q", "q_norm"),
    ("norm_k", "k_norm"),
)


def weights() -> dict[str, np.ndarray]:
    """The transformer's tensors by diffusers' names."""
    return load_file(WEIGHTS)


def original(name: str) -> str:
    """What Lightricks calls the tensor ``name``."""
    parts = name.split(".")
    for ours, theirs in _ORIGINAL:
        parts = [part.replace(ours, theirs) if part in (ours, f"audio_{ours}") else part for part in parts]
    return ".".join(parts)


def write_original(path: Path, tensors: Mapping[str, np.ndarray] | None = None) -> Path:
    """As Lightricks' checkpoints lie: with parts of other networks in the same file."""
    own = {f"model.diffusion_model.{original(name)}": tensor for name, tensor in (tensors or weights()).items()}
    others = {
        "vae.per_channel_statistics.mean-of-means": np.zeros(8, np.float32),
        "model.diffusion_model.video_embeddings_connector.learnable_registers": np.zeros((4, 8), np.float32),
    }
    save_file(own | others, path, {"format": "pt"})
    return path


def write_diffusers(path: Path, tensors: Mapping[str, np.ndarray] | None = None) -> Path:
    """By diffusers' names, alone."""
    save_file(dict(tensors or weights()), path, {"format": "pt"})
    return path


def write_gguf(path: Path, kind: gguf.GGMLQuantizationType, tensors: Mapping[str, np.ndarray] | None = None) -> Path:
    """As conversion tools write: linear layers whose rows divide into blocks are packed as ``kind``, the rest is F32."""
    writer = gguf.GGUFWriter(path, "ltxv")
    block = gguf.GGML_QUANT_SIZES[kind][0]
    for name, tensor in (tensors or weights()).items():
        full = tensor.astype(np.float32)
        packs = full.ndim == 2 and name.endswith(".weight") and "transformer_blocks" in name and full.shape[1] % block == 0
        if packs:
            writer.add_tensor(original(name), gguf.quantize(full, kind), raw_dtype=kind)
        else:
            writer.add_tensor(original(name), full)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
