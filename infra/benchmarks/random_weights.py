"""A stock Qwen2.5-VL of real dimensions with random weights, for where no weights can be had.

    python infra/benchmarks/random_weights.py --config FOLDER --out FOLDER

FOLDER of --config holds a model's config.json, tokenizer and chat template. What is measured on the
result (seconds, bytes, rounding) is what a trained model would give; its captions mean nothing.
"""

import shutil
from pathlib import Path

import torch
from cyclopts import run
from transformers import AutoConfig, Qwen2_5_VLForConditionalGeneration

SHARD_SIZE = "2GB"


def main(*, config: Path, out: Path, seed: int = 0) -> None:
    """Write the checkpoint in bfloat16.

    Args:
        config: folder of the model's configuration and tokenizer.
        out: where the checkpoint goes.
        seed: of the weights.
    """
    torch.manual_seed(seed)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen2_5_VLForConditionalGeneration._from_config(
            AutoConfig.from_pretrained(config), dtype=torch.bfloat16
        )
    model.save_pretrained(out, max_shard_size=SHARD_SIZE)
    for file in config.iterdir():
        if file.is_file() and not (out / file.name).exists():
            shutil.copyfile(file, out / file.name)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{n_parameters / 1e9:.2f} billion random weights in {out}")


if __name__ == "__main__":
    run(main)
