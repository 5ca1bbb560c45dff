"""Model families, one folder each."""

import logging

for _name in ("torchao", "torch.utils._pytree"):
    # diffusers imports torchao, which warns of kernels for other machines and of torch's next release.
    logging.getLogger(_name).setLevel(logging.ERROR)
