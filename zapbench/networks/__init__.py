"""Networks, their weights, and their gradients written by hand.

`classifier` (an encoder under a linear head), `oml`, `anml` and `backbones` (timm's) make networks; `weights` reads
those of a model that was pre-trained elsewhere. `gradients` computes a mini-batch's gradients, by autograd or by hand
(`manual_gradients` over `blocks` and `kernels`, and `second_order`). May import nothing of the project but texts;
strategies and transfer import it.
"""
