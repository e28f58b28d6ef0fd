"""Floating-point operations, counted where torch carries them out: below autograd, one operator at a time.

As in torch's own counter, a matrix product or a convolution costs two operations for each multiply-add; pointwise
operators, reductions, normalisations, copies and random numbers cost none. An operator of unknown cost (a Fourier
transform, a decomposition, one of the candidate's own) leaves no count rather than a wrong one.
"""

from collections.abc import Callable
from functools import cache
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

_ATEN = torch.ops.aten

# Operators without a tag that says so, by their names without underscores at the ends.
_FREE = frozenset(
    """
    empty empty_like empty_strided empty_permuted new_empty new_empty_strided new_zeros new_ones new_full zeros
    zeros_like ones ones_like full full_like arange linspace logspace eye scalar_tensor tril_indices triu_indices
    rand rand_like randn randn_like randint randint_like randperm uniform normal bernoulli exponential geometric
    cauchy log_normal random multinomial poisson native_dropout fill zero
    clone copy to_copy to_dense to_sparse coalesce sparse_coo_tensor_with_dims_and_tensors resize set lift_fresh
    cat stack split_with_sizes_copy unsafe_split unsafe_split_with_sizes unsafe_chunk unsafe_view reshape_copy
    transpose t squeeze unsqueeze repeat repeat_interleave flip roll rot90 constant_pad_nd reflection_pad1d
    reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d pixel_shuffle
    pixel_unshuffle channel_shuffle native_channel_shuffle im2col col2im unfold_backward tril triu diag_embed
    index index_put index_put_impl index_select index_add index_copy index_fill index_reduce gather scatter
    scatter_add scatter_reduce masked_fill masked_scatter masked_select take put embedding embedding_renorm
    where nonzero nonzero_static one_hot bincount histc bucketize searchsorted unique2 unique_dim
    unique_consecutive unique_dim_consecutive sort topk kthvalue median nanmedian mode argsort max min argmax
    argmin aminmax cummax cummin cumsum cumprod logcumsumexp local_scalar_dense equal is_nonzero
    softmax log_softmax safe_softmax masked_softmax prelu glu rrelu_with_noise
    native_batch_norm native_batch_norm_legit native_batch_norm_legit_no_training batch_norm_with_update
    batch_norm_no_update native_layer_norm native_group_norm fused_rms_norm cudnn_batch_norm weight_norm_interface
    batch_norm_impl_index renorm linalg_vector_norm norm native_norm std std_mean var var_mean
    avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
    max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
    fractional_max_pool2d fractional_max_pool3d max_unpool2d max_unpool3d mkldnn_max_pool2d
    upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_nearest_exact1d upsample_nearest_exact2d
    upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d
    upsample_bilinear2d_aa upsample_bicubic2d_aa grid_sampler_2d grid_sampler_2d_cpu_fallback grid_sampler_3d
    affine_grid_generator pad_packed_sequence pack_padded_sequence values indices nll_loss_forward
    nll_loss2d_forward multi_margin_loss multilabel_margin_loss_forward binary_cross_entropy
    binary_cross_entropy_with_logits huber_loss mse_loss smooth_l1_loss soft_margin_loss
    complex polar view_as_real view_as_complex assert_async functional_assert_async assert_tensor_metadata
    is_all_true is_any_true isin is_same_size nnz dimI dimV sparse_dim dense_dim sparse_mask is_coalesced coalesced
    hardswish log_sigmoid_forward prelu_kernel addr dist trace linalg_cross block_diag chunk_cat lift range
    select_scatter slice_scatter diagonal_scatter as_strided_scatter unsafe_index unsafe_index_put
    unsafe_masked_index unsafe_masked_index_put_accumulate embedding_bag embedding_bag_forward_only
    standard_gamma sample_dirichlet binomial upsample_lanczos2d_aa mkldnn_adaptive_avg_pool2d mkldnn_max_pool3d
    bartlett_window blackman_window hamming_window hann_window kaiser_window fft_fftfreq fft_rfftfreq
    record_stream pin_memory is_pinned efficientzerotensor resize_output resize_as cummax_helper cummin_helper
    batch_norm_stats batch_norm_elemt native_batch_norm_legit_functional batch_norm_with_update_functional
    """.split()  # noqa: SIM905 - a list of so many words is read more easily so
)
_FREE_TAGS = frozenset({torch.Tag.pointwise, torch.Tag.reduction})


def _rnn_layer(inputs: Tensor, weight: Tensor, recurrent: Tensor, *_rest: Any, **_named: Any) -> int:
    """Count one layer in one direction: each of (steps, batch) inputs times both matrices of all gates."""
    return 2 * prod(inputs.shape[:2]) * (weight.numel() + recurrent.numel())


def _added_products(_added: Tensor, left: Tensor, right: Tensor, **_named: Any) -> int:
    """Count the products of a batch of matrices that are summed up."""
    return 2 * left.numel() * right.shape[2]


def _attention(query: Tensor, key: Tensor, value: Tensor, *_rest: Any, **_named: Any) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))  # type: ignore[no-untyped-call]


def _product(left: Tensor, _right: Tensor, **_named: Any) -> int:
    """Count a matrix or a vector times a vector."""
    return 2 * left.numel()


def _added_product(_added: Tensor, left: Tensor, _right: Tensor, **_named: Any) -> int:
    return 2 * left.numel()


# Beside torch's own registry, which lacks the CPU's kernels.
_FORMULAS: dict[Any, Callable[..., int]] = {
    _ATEN.mkldnn_rnn_layer: _rnn_layer,
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _attention,  # noqa: SLF001 - torch's name for it
    _ATEN.mv: _product,
    _ATEN.dot: _product,
    _ATEN.vdot: _product,
    _ATEN.addmv: _added_product,
    _ATEN.addbmm: _added_products,
}


class FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up `total` while it is active; `uncounted` names the operators whose cost is not known."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self.uncounted: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and count it; a compound operator is counted by its parts."""
        named = kwargs or {}
        if compound(func):
            with self:
                return func.decompose(*args, **named)
        output = func(*args, **named)
        self._count(func, args, named, output)
        return output

    def _count(self, func: Any, args: Any, named: Any, output: Any) -> None:
        packet = _functional(func._overloadpacket)  # noqa: SLF001 - as torch's own counter does
        if packet in flop_registry:
            self.total += int(flop_registry[packet](*args, **named, out_val=output))
        elif packet in _FORMULAS:
            self.total += _FORMULAS[packet](*args, **named)
        elif not _free(func, packet):
            self.uncounted.add(str(packet))


@cache
def compound(func: Any) -> bool:
    """Return whether torch builds the operator from others; a query of a tensor's form is none."""
    return func.namespace != "prim" and bool(func._can_decompose())  # noqa: SLF001


@cache
def _functional(packet: Any) -> Any:
    """Return the variant of an in-place operator (`addmm_`) that is not in place.

    It costs the same, and only that variant has tags.
    """
    name = packet.__name__
    return getattr(_ATEN, name[:-1], packet) if name.endswith("_") and not name.endswith("__") else packet


@cache
def _free(func: Any, packet: Any) -> bool:
    if func.namespace not in ("aten", "prims", "prim"):
        return False
    tags = {tag for name in packet.overloads() for tag in getattr(packet, name).tags}
    return bool(packet.__name__.strip("_") in _FREE or func.is_view or _FREE_TAGS & tags)
