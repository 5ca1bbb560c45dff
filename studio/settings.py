"""Every setting of a studio, each from the environment as ``STUDIO_<NAME>`` or given in code."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines.contract import Quantization
from pipelines.optimize.plan import Offload, Switch
from pipelines.registry import ModelCatalogue


class Settings(BaseSettings):
    """One studio: where it listens, where it keeps things, and how patient it is."""

    model_config = SettingsConfigDict(env_prefix="STUDIO_", frozen=True, extra="ignore", use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other machines in."""
    port: int = Field(7860, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    data_dir: Path = Path("data")
    """Folder of the database, the clips, the images and the logs. On a local disk, never on a network mount."""
    device: str = "auto"
    """Where models run: auto, cpu, cuda, cuda:1, mps; several separated by commas are shared out to the workers, and several
    joined by + (cuda:0+cuda:1) make each clip of one worker together."""
    parallel: str = "auto"
    """How joined devices share a clip: auto, off (the first works alone), degrees such as branches=2,ulysses=2, or text (the last
    one reads texts and nothing else)."""
    workers: int = Field(1, ge=0, le=64)
    """Worker processes; each holds a model of its own. 0 only queues."""
    batch: int = Field(4, ge=1, le=64)
    """Clips of one kind that a worker may denoise together at the most; 1 makes each by itself."""
    lease_s: float = Field(15.0, gt=0)
    """Seconds without a sign of life after which a worker counts as dead."""
    heartbeat_s: float = Field(2.0, gt=0)
    """Seconds between two signs of life of a worker."""
    max_attempts: int = Field(3, ge=1)
    """How often a job may take its worker down before it is given up."""
    max_queued_jobs: int = Field(1000, ge=1)
    """Jobs that may wait at a time."""
    max_queued_jobs_per_guest: int = Field(20, ge=1)
    """Jobs of one person that may wait at a time on a shared studio; its owner has no such limit."""
    max_upload_bytes: int = Field(32 * 1024**2, ge=1)
    """Largest image or clip that may be uploaded, in bytes."""
    max_project_bytes: int = Field(1024**3, ge=1)
    """Largest project file that may be brought in, packed or unpacked, in bytes."""
    max_video_bytes: int = Field(256 * 1024**2, ge=1)
    """Largest video or sound file that may be opened, in bytes."""
    max_video_s: float = Field(60.0, gt=0, le=160)
    """Longest video or sound file that may be opened, in seconds."""
    models: dict[str, Path] = {}
    """More models: a map from id to a local folder or a hub id in diffusers layout, or to a single file and the id of the model
    that lends its other parts, FILE@ID, as JSON."""
    model_folders: tuple[Path, ...] = ()
    """Folders of other programs' models, such as ComfyUI's, that models scan looks through where none is given, as JSON."""
    quantization: Quantization | dict[str, Quantization] = Quantization.AUTO
    """How weights are held where a request does not say: auto, none, bf16, int16, fp8, int8, int8-dynamic, int4; or by model."""
    text_quantization: Quantization = Quantization.AUTO
    """Bits of the text encoders' weights: as above."""
    kernels: Switch = Switch.AUTO
    """Fused kernels in a model's blocks: auto (on CUDA GPUs that give the right results with them), on, off."""
    compile: bool = False
    """Compile a model's blocks: faster clips after a first one that waits for it. Kernels then have nothing to do."""
    offload: Offload = Offload.AUTO
    """Which weights come to the device only while they are used: auto (as memory asks for it), none, text, blocks, disk."""
    engine: str = "pipelines.engine:Engine"
    """Dotted name of the class that the worker process runs requests with."""
    local_owner: str = "local"
    """Who owns everything where nobody signs in."""
    drain_s: float = Field(30.0, ge=0)
    """Seconds that a running job gets to finish when the studio is asked to stop."""
    preload: bool = True
    """Load the default model when a worker starts, so that the first clip need not wait for it."""
    conditioning_memory_bytes: int = Field(64 * 1024**2, ge=0)
    """Encoded prompts that a worker keeps in memory, in bytes; 0 keeps none."""
    conditioning_disk_bytes: int = Field(1024**3, ge=0)
    """Encoded prompts that all workers keep on disk together, in bytes; 0 keeps none."""
    conditioning_ttl_s: float = Field(30 * 86_400.0, gt=0)
    """Seconds after which an encoded prompt goes that nobody used."""
    keep_latents: bool = True
    """Keep what a model made of a clip beside its file, for edits to begin from; less than a tenth of its size."""
    enhancer: str = ""
    """Instruction model that says prompts more fully: a hub id that was fetched to this machine, or a folder. Empty: rules."""
    enhancer_tokens: int = Field(512, ge=16, le=8192)
    """Tokens that the instruction model may write for one prompt."""
    enhancer_s: float = Field(60.0, gt=0)
    """Seconds that the instruction model may take for one prompt, after it is loaded."""
    translator: str = ""
    """Marian, M2M100 or NLLB model that says prompts in English: a hub id that was fetched, or a folder. Empty: the lexicon."""
    text_image_model: str = ""
    """CLIP or SigLIP model that measures whether clips show what was asked: a fetched hub id, or a folder. Empty: none."""
    language_device: str = "auto"
    """Where instruction model and translator run: auto (a GPU that has the room, else the CPU), cpu, cuda, cuda:1, mps."""
    language_idle_s: float = Field(300.0, gt=0)
    """Seconds without use after which instruction model and translator give their memory back."""

    @property
    def catalogue(self) -> ModelCatalogue:
        """The models that can be used, their weights held as set here. Raises ``ModelNotFound`` for an unknown or damaged one."""
        catalogue = ModelCatalogue.with_folders(self.models, self.hub_dir).quantized(self.quantization, self.text_quantization)
        return catalogue.fused(self.kernels, compile=self.compile).offloaded(self.offload)

    @property
    def database_path(self) -> Path:
        """The SQLite database."""
        return self.data_dir / "studio.db"

    @property
    def clips_dir(self) -> Path:
        """Finished clips, in one folder an owner."""
        return self.data_dir / "clips"

    @property
    def media_dir(self) -> Path:
        """Uploaded images, named by their hash."""
        return self.data_dir / "media"

    @property
    def loras_dir(self) -> Path:
        """Imported LoRAs, named by their hash."""
        return self.data_dir / "loras"

    @property
    def conditionings_dir(self) -> Path:
        """Encoded prompts; whatever goes from here is made again."""
        return self.data_dir / "cache" / "conditionings"

    @property
    def hub_dir(self) -> Path:
        """The configurations of models of the hub."""
        return self.data_dir / "cache" / "hub"

    @property
    def compiled_dir(self) -> Path:
        """What torch and Triton compiled for this machine; whatever goes from here is made again."""
        return self.data_dir / "cache" / "compiled"

    @property
    def offload_dir(self) -> Path:
        """Weights of running workers that come from files; each worker's go with it."""
        return self.data_dir / "cache" / "offload"

    @property
    def thumbnails_dir(self) -> Path:
        """Poster frames and waveforms, as the clips' folders."""
        return self.data_dir / "thumbnails"

    @property
    def logs_dir(self) -> Path:
        """What the worker processes write to standard error."""
        return self.data_dir / "logs"

    @property
    def address(self) -> str:
        """Where a browser or program on this machine finds the studio."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def is_space(self) -> bool:
        """Whether this is a hosted Hugging Face Space, where many people share one studio."""
        return bool(os.environ.get("SPACE_ID"))
