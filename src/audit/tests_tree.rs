use proptest::prelude::*;

use super::tree::{
    Error, Frontier, Hash, Node, Plan, empty_root, leaf, node, root, verify_consistency,
    verify_inclusion,
};

/// Leaves of the reference trees of Certificate Transparency, which other implementations test with as well.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

/// Roots of the trees of 1 to 8 of them.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// Published proofs: leaf, size, hashes.
const INCLUSION: [(u64, u64, &[&str]); 5] = [
    (0, 1, &[]),
    (
        0,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        3,
        &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    ),
    (
        1,
        5,
        &[
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
];

/// Published proofs: older size, newer size, hashes.
const CONSISTENCY: [(u64, u64, &[&str]); 5] = [
    (1, 1, &[]),
    (
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        6,
        7,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
];

fn hash(digits: &str) -> Hash {
    hex::decode(digits).unwrap().try_into().unwrap()
}

fn published() -> Vec<Hash> {
    LEAVES
        .iter()
        .map(|own| leaf(&hex::decode(own).unwrap()))
        .collect()
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|own| leaf(&own.to_le_bytes())).collect()
}

/// MTH of RFC 6962, 2.1, word for word.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(half(leaves.len()));
            node(&mth(left), &mth(right))
        }
    }
}

/// The largest power of two below a number.
fn half(count: usize) -> usize {
    let mut half = 1;
    while half * 2 < count {
        half *= 2;
    }
    half
}

/// PATH of RFC 6962, 2.1.1.
fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(half(leaves.len()));
    let (mut inner, outer) = match index < left.len() {
        true => (path(index, left), mth(right)),
        false => (path(index - left.len(), right), mth(left)),
    };
    inner.push(outer);
    inner
}

/// SUBPROOF of RFC 6962, 2.1.2.
fn subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return match whole {
            true => Vec::new(),
            false => vec![mth(leaves)],
        };
    }
    let (left, right) = leaves.split_at(half(leaves.len()));
    let (mut inner, outer) = match old <= left.len() {
        true => (subproof(old, left, whole), mth(right)),
        false => (subproof(old - left.len(), right, false), mth(left)),
    };
    inner.push(outer);
    inner
}

fn proof(plan: &Plan, leaves: &[Hash]) -> Vec<Hash> {
    let of = |node: Node| {
        let start = (node.index << node.level) as usize;
        Ok::<_, ()>(mth(&leaves[start..start + (1 << node.level)]))
    };
    plan.proof(of).unwrap()
}

#[test]
fn heads_are_those_that_are_published() {
    let leaves = published();
    assert_eq!(
        hex::encode(empty_root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    for (size, expected) in (1..).zip(ROOTS) {
        assert_eq!(hex::encode(root(&leaves[..size])), expected);
    }
}

#[test]
fn proofs_are_those_that_are_published() {
    let leaves = published();
    for (index, size, hashes) in INCLUSION {
        let hashes: Vec<Hash> = hashes.iter().map(|own| hash(own)).collect();
        let plan = Plan::inclusion(index, size).unwrap();
        assert_eq!(proof(&plan, &leaves[..size as usize]), hashes);
        let (own, root) = (&leaves[index as usize], hash(ROOTS[size as usize - 1]));
        verify_inclusion(index, size, own, &hashes, &root).unwrap();
    }
    for (old, new, hashes) in CONSISTENCY {
        let hashes: Vec<Hash> = hashes.iter().map(|own| hash(own)).collect();
        let plan = Plan::consistency(old, new).unwrap();
        assert_eq!(proof(&plan, &leaves[..new as usize]), hashes);
        let root = |size: u64| hash(ROOTS[size as usize - 1]);
        verify_consistency((old, &root(old)), (new, &root(new)), &hashes).unwrap();
    }
}

#[test]
fn every_proof_of_small_trees_is_that_of_the_rfc_and_holds() {
    let all = leaves(70);
    for size in 1..=all.len() {
        let leaves = &all[..size];
        let head = mth(leaves);
        assert_eq!(root(leaves), head);
        for (index, own) in leaves.iter().enumerate() {
            let plan = Plan::inclusion(index as u64, size as u64).unwrap();
            let proof = proof(&plan, leaves);
            assert_eq!(proof, path(index, leaves));
            verify_inclusion(index as u64, size as u64, own, &proof, &head).unwrap();
        }
        for old in 1..=size {
            let plan = Plan::consistency(old as u64, size as u64).unwrap();
            let proof = proof(&plan, leaves);
            assert_eq!(proof, subproof(old, leaves, true));
            let (older, newer) = ((old as u64, &mth(&leaves[..old])), (size as u64, &head));
            verify_consistency(older, newer, &proof).unwrap();
        }
    }
}

/// Proofs that are wrong in one way each.
fn wrong(proof: &[Hash], others: &[Hash]) -> Vec<Vec<Hash>> {
    let mut wrong = Vec::new();
    for place in 0..proof.len() {
        let mut flipped = proof.to_vec();
        flipped[place][place % 32] ^= 8;
        wrong.push(flipped);
        let mut without = proof.to_vec();
        without.remove(place);
        wrong.push(without);
    }
    for other in others {
        wrong.push([proof, &[*other]].concat());
        wrong.push([&[*other], proof].concat());
        if proof.len() > 1 {
            wrong.push([&proof[..1], &[*other], &proof[1..]].concat());
        }
    }
    wrong
}

#[test]
fn an_inclusion_proof_holds_for_its_own_leaf_size_and_root_alone() {
    let all = leaves(40);
    let mut probes = 0;
    for size in 1..=all.len() as u64 {
        let leaves = &all[..size as usize];
        let head = mth(leaves);
        for index in 0..size {
            let own = &leaves[index as usize];
            let right = path(index as usize, leaves);
            let refused = |index: u64, size: u64, own: &Hash, proof: &[Hash], root: &Hash| {
                verify_inclusion(index, size, own, proof, root).unwrap_err();
            };
            for other in [index.wrapping_sub(1), index + 1, index ^ 2, size, u64::MAX] {
                refused(other, size, own, &right, &head);
            }
            for other in [index, 0, size / 2] {
                // A leaf of the left half of a full tree has the same way up in some larger trees, but not the same
                // number of hashes.
                if other != size {
                    refused(index, other, own, &right, &head);
                }
            }
            refused(index, size * 2, own, &right, &head);
            refused(index, size, &leaf(b"another"), &right, &head);
            refused(index, size, own, &right, &empty_root());
            for proof in wrong(&right, &[head, *own, empty_root()]) {
                refused(index, size, own, &proof, &head);
                probes += 1;
            }
        }
    }
    assert!(probes > 5000);
}

#[test]
fn a_consistency_proof_holds_for_its_own_sizes_and_roots_alone() {
    let all = leaves(40);
    let mut probes = 0;
    for new in 2..=all.len() as u64 {
        for old in 1..new {
            let (older, newer) = (mth(&all[..old as usize]), mth(&all[..new as usize]));
            let right = subproof(old as usize, &all[..new as usize], true);
            let refused = |old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]| {
                verify_consistency(old, new, proof).unwrap_err();
            };
            for other in [old - 1, old + 1, old ^ 2, u64::MAX] {
                refused((other, &older), (new, &newer), &right);
            }
            refused((old, &older), (new * 2, &newer), &right);
            refused((old, &older), (new / 2, &newer), &right);
            refused((old, &newer), (new, &older), &right);
            refused((old, &leaf(b"")), (new, &newer), &right);
            refused((old, &older), (new, &leaf(b"")), &right);
            refused((old, &older), (new, &newer), &[]);
            for proof in wrong(&right, &[older, newer, empty_root()]) {
                refused((old, &older), (new, &newer), &proof);
                probes += 1;
            }
        }
    }
    assert!(probes > 5000);
}

#[test]
fn heads_of_one_size_are_consistent_if_they_are_equal() {
    let (one, other) = (leaf(b"1"), leaf(b"2"));
    for size in [0, 1, 7] {
        verify_consistency((size, &one), (size, &one), &[]).unwrap();
        let error = verify_consistency((size, &one), (size, &other), &[]);
        assert_eq!(error, Err(Error::Root));
        assert!(verify_consistency((size, &one), (size, &one), &[other]).is_err());
    }
    verify_consistency((0, &one), (5, &other), &[]).unwrap();
    assert!(verify_consistency((0, &one), (5, &other), &[other]).is_err());
    let error = verify_consistency((2, &one), (1, &one), &[]);
    assert_eq!(error, Err(Error::Sizes { old: 2, new: 1 }));
}

#[test]
fn a_stored_frontier_grows_as_the_tree_does() {
    let all = leaves(300);
    let mut frontier = Frontier::default();
    for (size, own) in (1_u64..).zip(&all) {
        let peaks = frontier.peaks().to_vec();
        frontier = Frontier::from_parts(frontier.size(), peaks).unwrap();
        frontier.push(*own);
        assert_eq!(frontier.peaks().len(), size.count_ones() as usize);
        assert_eq!(frontier.root(), mth(&all[..size as usize]));
    }
    assert!(Frontier::from_parts(3, vec![leaf(b"")]).is_err());
}

#[test]
fn heads_and_proofs_equal_those_of_ct_merkle() {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    let mut other = MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
    let mut all = Vec::new();
    // Full subtrees by height: to hash them again for each proof takes half a minute.
    let mut full: Vec<Vec<Hash>> = vec![Vec::new(); 11];
    for size in 0..=1000_u64 {
        let proof = |plan: &Plan, _: &[Hash]| {
            let of = |node: Node| Ok::<_, ()>(full[node.level as usize][node.index as usize]);
            plan.proof(of).unwrap()
        };
        let head = root(&all);
        assert_eq!(other.root().as_bytes().as_slice(), head);
        if size > 0 {
            // Some of each size: all of them are half a million.
            for index in [0, size / 3, size / 2, size - 1] {
                let plan = Plan::inclusion(index, size).unwrap();
                let theirs = other.prove_inclusion(index as usize);
                assert_eq!(theirs.as_bytes(), proof(&plan, &all).concat());
            }
            for old in [1, size / 3, size / 2, size - 1, size] {
                if old == 0 {
                    continue;
                }
                let plan = Plan::consistency(old, size).unwrap();
                let theirs = other.prove_consistency((size - old) as usize);
                assert_eq!(theirs.as_bytes(), proof(&plan, &all).concat());
            }
        }
        let content = size.to_le_bytes().to_vec();
        all.push(leaf(&content));
        full[0].push(leaf(&content));
        for height in 0..(size + 1).trailing_zeros() as usize {
            let [.., left, right] = full[height].as_slice() else {
                unreachable!("a full subtree has two halves");
            };
            let above = node(left, right);
            full[height + 1].push(above);
        }
        other.push(content);
    }
}

proptest! {
    #[test]
    fn any_proof_may_be_given_and_only_the_right_one_holds(
        index in any::<u64>(),
        size in any::<u64>(),
        other in any::<u64>(),
        proof in prop::collection::vec(any::<[u8; 32]>(), 0..70),
        hash in any::<[u8; 32]>(),
    ) {
        // No panic, however large the numbers; a proof of random hashes leads to no random root.
        prop_assert!(verify_inclusion(index, size, &hash, &proof, &[7; 32]).is_err());
        let old = (index, &hash);
        let holds = verify_consistency(old, (size, &[7; 32]), &proof).is_ok();
        prop_assert_eq!(holds, index == 0 && size > 0 && proof.is_empty());
        let _ = Plan::inclusion(index, size).map(|plan| plan.nodes().count());
        let _ = Plan::consistency(index.min(other), size).map(|plan| plan.nodes().count());
    }

    #[test]
    fn random_trees_prove_what_they_hold(size in 1_u64..3000, at in any::<prop::sample::Index>(), from in any::<prop::sample::Index>()) {
        let all = leaves(size);
        let head = root(&all);
        let index = at.index(size as usize);
        let plan = Plan::inclusion(index as u64, size).unwrap();
        let found = proof(&plan, &all);
        prop_assert!(verify_inclusion(index as u64, size, &all[index], &found, &head).is_ok());
        let old = from.index(size as usize) as u64 + 1;
        let found = proof(&Plan::consistency(old, size).unwrap(), &all);
        let older = root(&all[..old as usize]);
        prop_assert!(verify_consistency((old, &older), (size, &head), &found).is_ok());
    }
}
