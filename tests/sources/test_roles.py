import pytest
from torch import nn

from weightsmith.sources import describe, infer_role

CASES = [
    ("fc.weight", (3, 4), "linear"),
    ("fc.bias", (3,), "bias"),
    ("lm_head.weight", (100, 8), "linear"),
    ("embed_out.weight", (100, 8), "linear"),
    ("conv1.weight", (8, 3, 3, 3), "conv"),
    ("conv.weight", (8, 3, 5), "conv"),
    ("patch_embed.proj.weight", (8, 3, 16, 16), "conv"),
    ("patch_embed.proj.weight", (8, 768), "linear"),
    ("model.embed_tokens.weight", (100, 8), "embedding"),
    ("transformer.wte.weight", (100, 8), "embedding"),
    ("bert.embeddings.word_embeddings.weight", (100, 8), "embedding"),
    ("bert.embeddings.LayerNorm.weight", (8,), "norm"),
    ("bert.embeddings.LayerNorm.gamma", (8,), "norm"),
    ("bert.embeddings.LayerNorm.beta", (8,), "bias"),
    ("pos_embed", (1, 197, 8), "embedding"),
    ("cls_token", (1, 1, 8), "embedding"),
    ("rnn.weight_hh_l0", (20, 5), "recurrent"),
    ("encoder.weight_ih_l0_reverse", (20, 5), "recurrent"),
    ("rnn.bias_ih_l0", (20,), "bias"),
    ("bn1.weight", (8,), "norm"),
    ("layers.0.input_layernorm.weight", (8,), "norm"),
    ("h.0.ln_1.weight", (8,), "norm"),
    ("bn1.running_mean", (8,), "other"),
    ("bn1.num_batches_tracked", (), "other"),
    ("attn.in_proj_weight", (24, 8), "linear"),
    ("attn.in_proj_bias", (24,), "bias"),
    ("act.weight", (1,), "other"),
    ("temperature", (), "other"),
    ("fc.parametrizations.weight.original", (3, 4), "linear"),
    ("conv.parametrizations.weight.original1", (8, 3, 3), "conv"),
    ("fc.weight_g", (3, 1), "other"),
    ("mlp.experts.gate_up_proj", (4, 8, 16), "linear"),
    ("a.b", (1, 2, 3, 4, 5, 6), "other"),
    ("weight", (2, 2), "linear"),
    ("", (2,), "other"),
    ("layer_norm.weight", (4, 8), "norm"),
    ("q_norm.weight", (4, 8), "norm"),
    ("norm.linear.weight", (4, 8), "linear"),
    ("q_proj.lora_A.weight", (4, 8), "linear"),
    ("q_proj.lora_B.default.weight", (8, 4), "linear"),
    ("embed_tokens.lora_embedding_A", (4, 100), "linear"),
    ("lora_unet_conv.lora_down.weight", (4, 8, 3, 3), "conv"),
    ("blk.0.ffn_gate_exps.weight", (4, 8, 16), "linear"),
    ("block_sparse_moe.input_linear.weight", (4, 8, 16), "linear"),
    ("mlp.experts_gate", (4, 8, 16), "linear"),
    ("mlp.experts.gate_up_proj_bias", (4, 16), "bias"),
    ("rotary_emb.inv_freq", (32,), "other"),
    ("rope.freqs", (32,), "other"),
    ("embeddings.position_ids", (1, 512), "other"),
    ("attn.bias", (1, 1, 1024, 1024), "other"),
    ("attn.masked_bias", (), "other"),
    ("attn.relative_position_index", (49, 49), "other"),
    ("attn.relative_position_bias_table", (169, 6), "bias"),
    ("SelfAttention.relative_attention_bias.weight", (32, 8), "embedding"),
    ("q_proj.qweight", (512, 4096), "other"),
    ("q_proj.weight_scale_inv", (32, 32), "other"),
    ("q_proj.weight.absmax", (512,), "other"),
    ("q_proj.weight.quant_state.bitsandbytes__nf4", (90,), "other"),
    ("experts.gate_up_proj_blocks", (4, 16, 2, 16), "other"),
    ("params/Dense_0/kernel", (3, 4), "linear"),
    ("params/LayerNorm_0/scale", (4,), "norm"),
    ("params/Embed_0/embedding", (100, 4), "embedding"),
]


@pytest.mark.parametrize(("name", "shape", "role"), CASES)
def test_role_from_name_and_shape(name, shape, role):
    assert infer_role(name, shape) == role


def test_names_agree_with_module_types():
    model = nn.ModuleDict(
        {
            "embedding": nn.Embedding(10, 4),
            "conv": nn.Conv2d(1, 2, 3),
            "bn": nn.BatchNorm2d(2),
            "lstm": nn.LSTM(4, 5, bidirectional=True, proj_size=2),
            "transformer": nn.TransformerEncoderLayer(8, 2, batch_first=True),
            "head": nn.Linear(5, 2),
        }
    )
    for info in describe(model):
        assert infer_role(info.name, info.shape) == info.role, info.name
