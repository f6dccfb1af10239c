"""Features: sums over layers that say the same for genes and for graphs, and no more than was seen."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TINY, genomes, networks, spaces
from support.known_times import known_table

from mnas_evo.errors import UnmeasuredOp
from mnas_evo.latency.features import GROUPS, Features, family, features_of, statistics
from mnas_evo.latency.rows import OwnRows, Rows
from mnas_evo.space.architecture import Network
from mnas_evo.space.graph import Layer, Op, parse_key
from mnas_evo.space.lowering import lower, lower_layer
from mnas_evo.space.named import named_network
from mnas_evo.space.space import Genes

TABLE = known_table(TINY, networks=1)
ALL_OF_TINY = [lower(network) for network in TINY.networks(TINY.sample(300, rng=np.random.default_rng(0)))]


def layer_of(key: str) -> Layer:
    """The layer of a key."""
    return lower_layer(parse_key(key))


def on_one_pixel(layer: Layer) -> list[Op]:
    """Maps of a vector to a vector: squeeze, excite, classifier, and pointwise convolutions on a single pixel."""
    return [
        op
        for op in layer.ops
        if op.kind == "linear" or (op.kind == "conv" and (op.kernel, op.groups, op.out_shape[1:]) == (1, 1, (1, 1)))
    ]


# What the lowered graph says


@given(networks())
def test_multiply_adds_are_those_of_their_kinds_and_of_vectors(network: Network) -> None:
    for layer in lower(network).layers:
        found = statistics(layer)
        vectors = on_one_pixel(layer)
        by_kind = sum(value for kind, value in found.items() if kind.endswith("_macs"))
        assert found["macs"] == layer.macs == by_kind + sum(op.macs for op in vectors)
        for op in layer.ops:
            if op.groups > 1:
                kind = f"depthwise_k{op.kernel}_macs"
                assert found[kind] == sum(one.macs for one in layer.ops if one.groups > 1 and one.kernel == op.kernel)
        # On one pixel a weight is used once: what is more are biases, and batch norm's two numbers a channel.
        biases = sum(op.out_shape[0] * (2 if op.norm else 1) for op in vectors)
        assert found.get("vector_weights", 0) == found["macs"] - by_kind + biases


@given(networks())
def test_weights_are_the_layers_parameters_and_a_layer_counts_once(network: Network) -> None:
    for layer in lower(network).layers:
        found = statistics(layer)
        assert found.get("weights", 0) == layer.params
        assert found["layers"] == 1
        assert (found.get("se_layers"), found.get("add_layers"), found.get("pool_layers")) == (
            1 if layer.spec.se_ratio else None,
            1 if layer.spec.skip == "add" else None,
            1 if layer.spec.skip == "pool" else None,
        )


def test_the_statistics_of_one_layer_are_those_counted_by_hand() -> None:
    # Expand 8 -> 16 on 8x8, depthwise to 4x4, squeeze to 2 and excite, project; pool 8 and project to 16; add.
    assert statistics(layer_of("mbconv_e2_k3_se0.25_pool_i8_o16_s2_8x8_relu")) == {
        "macs": 8192 + 2304 + 32 + 32 + 4096 + 2048,
        "pointwise_macs": 8192 + 4096 + 2048,
        "depthwise_k3_macs": 2304,
        "vector_weights": 34 + 48,
        "weights": 160 + 176 + 34 + 48 + 288 + 160,
        "traffic": (512 + 1024) + (1024 + 256) + 18 + 18 + (256 + 256) + (128 + 256),
        "gate_traffic": (256 + 16) + (16 + 16) + (256 + 16 + 256),
        "avg_pool_traffic": 512 + 128,
        "add_traffic": 3 * 256,
        "layers": 1,
        "se_layers": 1,
        "pool_layers": 1,
    }


@pytest.mark.parametrize(
    ("channels", "kind"), [(1, "conv_k3_macs"), (2, "depthwise_k3_macs"), (9, "depthwise_k3_macs")]
)
def test_a_convolution_is_depthwise_from_two_channels(channels: int, kind: str) -> None:
    found = statistics(layer_of(f"mbconv_e1_k3_i{channels}_o4_s1_8x8_relu"))
    assert {name: macs for name, macs in found.items() if "_k3_" in name} == {kind: 9 * channels * 64}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("conv_k3_i8_o8_s1_8x8_relu", "conv"),
        ("conv_k1_i8_o8_s1_8x8_relu", "edge"),
        ("mbconv_e1_k3_i8_o8_s1_8x8_relu", "mbconv_e1"),
        ("mbconv_e6_k5_se0.25_i8_o8_s1_8x8_relu", "mbconv_e6"),
        ("project_i8_o16_s2_8x8", "edge"),
        ("classifier_i16_o4_8x8", "edge"),
    ],
)
def test_a_layer_has_one_family(key: str, expected: str) -> None:
    assert family(layer_of(key)) == expected


# Vectors


@pytest.mark.parametrize("rows", [OwnRows(TABLE), None], ids=["rows", "no rows"])
@given(genes=genomes(TINY))
def test_features_of_genes_are_features_of_their_graphs(rows: Rows | None, genes: Genes) -> None:
    features = features_of(ALL_OF_TINY, rows)
    by_graphs = features.of_graphs([lower(network) for network in TINY.networks(genes)])
    by_genes = TINY.sum_over(genes, TINY.gene_sums(features.of_layer))
    assert by_graphs.shape == (len(genes), len(features.columns))
    assert by_genes == pytest.approx(by_graphs, rel=1e-12)


@given(st.data())
def test_so_they_are_in_any_space(data: st.DataObject) -> None:
    space = data.draw(spaces())
    genes = data.draw(genomes(space))
    graphs = [lower(network) for network in space.networks(genes)]
    features = features_of(graphs[:1], None)
    by_genes = space.sum_over(genes, space.gene_sums(features.of_layer))
    assert by_genes == pytest.approx(features.of_graphs(graphs), rel=1e-12)


@given(genomes(TINY))
def test_genes_that_are_one_architecture_have_the_same_features(genes: Genes) -> None:
    sums = TINY.gene_sums(features_of(ALL_OF_TINY, OwnRows(TABLE)).of_layer)
    assert np.array_equal(TINY.sum_over(genes, sums), TINY.sum_over(TINY.canonical(genes), sums))


@given(genomes(TINY))
def test_every_rows_time_belongs_to_one_family_and_to_one_size(genes: Genes) -> None:
    features = features_of(ALL_OF_TINY, OwnRows(TABLE))
    graphs = [lower(network) for network in TINY.networks(genes)]
    vectors = dict(zip(features.columns, features.of_graphs(graphs).T, strict=True))
    rows_ms = [sum(TABLE.row_ms(layer) for layer in graph.layers) for graph in graphs]
    assert vectors["sum rows"] == pytest.approx(rows_ms)
    assert sum(vectors[f"ms {name}"] for name in features.families) == pytest.approx(rows_ms)
    for kind in features.kinds:
        assert sum(vectors[f"{kind}@{size}"] for size in features.sizes) == pytest.approx(vectors[kind])
    assert vectors["macs"] == pytest.approx([graph.macs for graph in graphs])


def test_no_networks_have_no_features() -> None:
    features = features_of(ALL_OF_TINY, OwnRows(TABLE))
    assert features.of_graphs([]).shape == (0, len(features.columns))


def test_groups_part_the_columns_in_their_order() -> None:
    for rows in (OwnRows(TABLE), None):
        features = features_of(ALL_OF_TINY, rows)
        assert tuple(features.groups) == GROUPS
        parted = [features.columns[part] for part in features.groups.values()]
        assert sum(parted, ()) == features.columns
        assert len(set(features.columns)) == len(features.columns)
        assert (len(parted[0]) > 0, len(parted[1]) > 0) == (rows is not None, rows is not None)


def test_trees_see_of_the_statistics_by_size_multiply_adds_and_traffic_alone() -> None:
    features = features_of(ALL_OF_TINY, OwnRows(TABLE))
    seen = {features.columns[column] for column in features.coarse}
    fine = {name for name in features.columns if "@" in name}
    assert set(features.columns) - fine <= seen
    assert seen & fine == {f"{kind}@{size}" for kind in ("macs", "traffic") for size in features.sizes}


# What was not seen


def by_name(features: Features, layer: Layer) -> dict[str, float]:
    """A layer's vector with the names of its columns."""
    return dict(zip(features.columns, features.of_layer(layer), strict=True))


def test_a_layer_at_an_unseen_size_gets_only_statistics_of_the_whole_network() -> None:
    features = features_of(ALL_OF_TINY, None)
    seen, unseen = layer_of("conv_k3_i8_o32_s2_8x8_relu"), layer_of("conv_k3_i8_o32_s2_64x64_relu")
    assert "8x8" in features.sizes
    assert "64x64" not in features.sizes
    for layer, there in ((seen, True), (unseen, False)):
        found = by_name(features, layer)
        counted = {kind: value for kind, value in statistics(layer).items() if kind in features.kinds}
        assert {kind: value for kind, value in found.items() if value and "@" not in kind} == counted
        at = {kind: value for kind, value in found.items() if value and "@" in kind}
        assert at == ({f"{kind}@8x8": value for kind, value in counted.items()} if there else {})


def test_a_layer_of_an_unseen_family_counts_in_the_sum_of_rows_alone() -> None:
    layer = next(layer for layer in TINY.layers() if family(layer) == "mbconv_e2" and layer.spec.se_ratio)
    features = replace(features_of(ALL_OF_TINY, OwnRows(TABLE)), families=("conv", "edge"))
    found = {
        name: value for name, value in by_name(features, layer).items() if value and name.startswith(("sum", "ms"))
    }
    row_ms = TABLE.row_ms(layer)
    crossing = {"": {}, "add": {"ms add": row_ms}, "pool": {"ms pool": row_ms}}[layer.spec.skip]
    assert found == {"sum rows": row_ms, "ms se": row_ms, **crossing}


def test_a_layer_without_a_row_is_refused_by_its_key() -> None:
    features = features_of(ALL_OF_TINY, OwnRows(TABLE))
    with pytest.raises(UnmeasuredOp, match="known has no row for conv_k3_i3_o32_s2_224x224_relu6_b1_fp32"):
        features.of_graphs([lower(named_network("mobilenet-v2"))])
