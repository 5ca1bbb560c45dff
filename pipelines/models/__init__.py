"""Model families, one folder each."""

import logging

for _name in ("torchao", "torch.utils._pytree", "diffusers.quantizers.torchao.torchao_quantizer"):
    # diffusers imports torchao and looks in it for what older releases had; that warns of kernels for other machines, too.
    logging.getLogger(_name).setLevel(logging.ERROR)
