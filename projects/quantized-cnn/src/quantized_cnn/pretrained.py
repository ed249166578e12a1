"""The trained networks that the labs begin with: trained once, then taken from the user's cache.

The key in the cache is made of all that decides the weights: the network, the data's checksum, the
training's numbers, and the sources of the modules that do it. Another number, or another line of
code, is another key.
"""

import hashlib
import io
from pathlib import Path

import torch
from torch import nn

from groundwork import Run, files
from groundwork.data import fetch
from quantized_cnn import images as images_module
from quantized_cnn import networks as networks_module
from quantized_cnn import training as training_module
from quantized_cnn.images import Images
from quantized_cnn.networks import NetworkName, make_network
from quantized_cnn.training import fit


def pretrained(
    run: Run, name: NetworkName, images: Images, *, epochs: int, seed: int, bf16: bool = False
) -> nn.Module:
    """The network of this name, trained on the images, in evaluation mode.

    Training shows its progress, and goes on where it was stopped.
    """
    torch.manual_seed(seed)
    model = make_network(name, images.classes, images.channels, images.small)
    rate = 0.1 if images.small else 0.2
    told = (name, images.name, len(images.x_train), run.data_used[images.name], epochs, seed, bf16)
    digest = hashlib.sha256(repr((*told, rate, images.batch_size)).encode())
    for module in (images_module, networks_module, training_module):
        digest.update(Path(str(module.__file__)).read_bytes())
    place = fetch.cache() / "networks" / f"{name}-{images.name}-{digest.hexdigest()[:16]}.pt"
    if place.is_file():
        model.load_state_dict(torch.load(place, weights_only=True))
        return model.eval()
    fit(
        model.to(memory_format=torch.channels_last),
        images.x_train,
        images.y_train,
        epochs=epochs,
        learning_rate=rate,
        batch_size=images.batch_size,
        seed=seed,
        augment=images.augment,
        bf16=bf16,
        checkpoint=run.checkpoint(f"{name}-{seed}"),
        progress=lambda passes: run.progress(passes, label=f"{name}, seed {seed}"),
    )
    model = model.to(memory_format=torch.contiguous_format)
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    files.write_bytes(place, buffer.getvalue())
    return model.eval()
