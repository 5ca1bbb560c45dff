"""Which owner has which LoRA, and the stacks that owners have saved."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from studio.storage.database import Connection


@dataclass(frozen=True)
class LoraRow:
    """One LoRA of one owner; ``models`` and ``about`` are JSON."""

    owner: str
    reference: str
    name: str
    models: str
    size_bytes: int
    about: str
    created_at: str


@dataclass(frozen=True)
class PresetRow:
    """One saved stack of one owner; ``uses`` is JSON."""

    owner: str
    name: str
    uses: str
    created_at: str


def file_name(reference: str) -> str:
    """What the file behind a ``lora:...`` reference is called in the studio's folder of LoRAs."""
    return f"{reference.removeprefix('lora:')}.safetensors"


def add(connection: Connection, row: LoraRow) -> None:
    """Note that the owner has this LoRA; the same file again takes the new name and models."""
    connection.execute("INSERT OR REPLACE INTO loras VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(row))


def get(connection: Connection, owner: str, reference: str) -> LoraRow | None:
    """The owner's LoRA, if it is theirs."""
    found = connection.execute("SELECT * FROM loras WHERE owner = ? AND reference = ?", (owner, reference)).fetchone()
    return None if found is None else LoraRow(*found)


def of_owner(connection: Connection, owner: str) -> list[LoraRow]:
    """All of an owner's, by name."""
    found = connection.execute("SELECT * FROM loras WHERE owner = ? ORDER BY name, reference", (owner,))
    return [LoraRow(*row) for row in found.fetchall()]


def remove(connection: Connection, owner: str, reference: str) -> bool:
    """Forget that the owner has it; says whether nobody has it any more, so that its file can go."""
    connection.execute("DELETE FROM loras WHERE owner = ? AND reference = ?", (owner, reference))
    return connection.execute("SELECT 1 FROM loras WHERE reference = ?", (reference,)).fetchone() is None


def save_preset(connection: Connection, row: PresetRow) -> None:
    """Keep a stack; one of the same name is replaced."""
    connection.execute("INSERT OR REPLACE INTO lora_presets VALUES (?, ?, ?, ?)", astuple(row))


def presets(connection: Connection, owner: str) -> list[PresetRow]:
    """An owner's saved stacks, by name."""
    found = connection.execute("SELECT * FROM lora_presets WHERE owner = ? ORDER BY name", (owner,))
    return [PresetRow(*row) for row in found.fetchall()]


def remove_preset(connection: Connection, owner: str, name: str) -> bool:
    """Forget a saved stack; says whether there was one."""
    return connection.execute("DELETE FROM lora_presets WHERE owner = ? AND name = ?", (owner, name)).rowcount > 0
