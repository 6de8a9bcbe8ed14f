//! What a batch of windows looks like to a graph.

use std::borrow::Cow;

use ort::{session::SessionInputValue, value::Tensor};

use super::Row;
use crate::model::Pack;

/// V of a label set: what is injected into the backbone's layers (VtV).
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// Points of injection.
    pub points: usize,
    /// Labels.
    pub labels: usize,
    /// Width of a vector.
    pub hidden: usize,
    /// `points × labels × hidden`.
    pub values: Vec<f32>,
}

/// Inputs, the shape that comes out, and where each window starts in it, in tokens.
pub(super) type Feeds<'a> = (
    Vec<(Cow<'a, str>, SessionInputValue<'static>)>,
    Vec<i64>,
    Vec<usize>,
);

/// Input of a padded graph: the segment of each token; a window is the first one.
pub(super) const TOKEN_TYPES: &str = "token_type_ids";
/// Input of a packed graph, and of some padded ones: places of tokens in their window.
pub(super) const POSITIONS: &str = "position_ids";
/// Input of a packed graph: the number of a token's window.
pub(super) const SEGMENTS: &str = "segment_ids";
/// Input of a packed graph: the set that a label is of.
pub(super) const LABEL_SETS: &str = "label_sets";
/// Input of a packed graph: the set that a token's window asks for.
pub(super) const TOKEN_SETS: &str = "token_sets";

pub(super) fn padded<'a>(
    pack: &'a Pack,
    names: [&'a str; 2],
    further: &[&'static str],
    windows: &[Row],
    rows: &[Vec<u32>],
    width: usize,
) -> Result<Feeds<'a>, ort::Error> {
    let manifest = pack.manifest();
    let hidden = manifest.dimensions.hidden;
    let (ids, mask) = filled_up(rows, width, manifest.tokenizer.pad);
    let shape = [rows.len(), width];
    let mut inputs = ort::inputs! {
        names[0] => Tensor::from_array((shape, ids))?,
        names[1] => Tensor::from_array((shape, mask))?,
    };
    for name in further {
        let values: Vec<i64> = match *name {
            TOKEN_TYPES => vec![0; rows.len() * width],
            _ => (0..rows.len()).flat_map(|_| 0..width as i64).collect(),
        };
        inputs.push(((*name).into(), Tensor::from_array((shape, values))?.into()));
    }
    if let Some(injection) = &manifest.injection {
        let v = Tensor::from_array(injected(windows, injection.points, hidden))?;
        let counts: Vec<i64> = windows
            .iter()
            .map(|row| row.conditions.map_or(0, |own| own.labels as i64))
            .collect();
        let counts = Tensor::from_array(([windows.len()], counts))?;
        inputs.push((injection.v.as_str().into(), v.into()));
        inputs.push((injection.counts.as_str().into(), counts.into()));
    }
    let starts = (0..rows.len()).map(|row| row * width).collect();
    let expected = vec![rows.len() as i64, width as i64, hidden as i64];
    Ok((inputs, expected, starts))
}

pub(super) fn packed<'a>(
    pack: &'a Pack,
    name: &'a str,
    windows: &[Row],
    rows: &[Vec<u32>],
) -> Result<Feeds<'a>, ort::Error> {
    let manifest = pack.manifest();
    let hidden = manifest.dimensions.hidden;
    let tokens = rows.iter().map(Vec::len).sum();
    let (mut ids, mut positions) = (Vec::with_capacity(tokens), Vec::with_capacity(tokens));
    let mut segments = Vec::with_capacity(tokens);
    let mut starts = Vec::with_capacity(rows.len());
    for (number, row) in rows.iter().enumerate() {
        starts.push(ids.len());
        ids.extend(row.iter().map(|&id| i64::from(id)));
        positions.extend(0..row.len() as i64);
        segments.resize(ids.len(), number as i64);
    }
    let mut inputs = ort::inputs! {
        name => Tensor::from_array(([tokens], ids))?,
        POSITIONS => Tensor::from_array(([tokens], positions))?,
        SEGMENTS => Tensor::from_array(([tokens], segments))?,
    };
    if let Some(injection) = &manifest.injection {
        let sets = Sets::of(windows, rows, injection.points, hidden);
        let shape = [injection.points, sets.labels.len(), hidden];
        let labels = Tensor::from_array(([sets.labels.len()], sets.labels))?;
        let tokens = Tensor::from_array(([tokens], sets.tokens))?;
        inputs.push((
            injection.v.as_str().into(),
            Tensor::from_array((shape, sets.v))?.into(),
        ));
        inputs.push((LABEL_SETS.into(), labels.into()));
        inputs.push((TOKEN_SETS.into(), tokens.into()));
    }
    Ok((inputs, vec![tokens as i64, hidden as i64], starts))
}

/// What a packed batch is conditioned on: each label set once, however many windows ask for it.
struct Sets {
    /// `(points, labels, hidden)`.
    v: Vec<f32>,
    /// Set of each label.
    labels: Vec<i64>,
    /// Set that each token's window asks for; -1: none.
    tokens: Vec<i64>,
}

impl Sets {
    fn of(windows: &[Row], rows: &[Vec<u32>], points: usize, hidden: usize) -> Self {
        let mut sets: Vec<&Conditions> = Vec::new();
        let mut tokens = Vec::new();
        for (window, row) in windows.iter().zip(rows) {
            let asked = window.conditions.filter(|own| own.labels > 0);
            let set = asked.map_or(-1, |own| {
                // Tenants have few sets, and windows of one share it.
                let known = sets.iter().position(|set| std::ptr::eq(*set, own));
                known.unwrap_or_else(|| {
                    sets.push(own);
                    sets.len() - 1
                }) as i64
            });
            tokens.resize(tokens.len() + row.len(), set);
        }
        let mut labels = Vec::new();
        for (number, set) in sets.iter().enumerate() {
            debug_assert_eq!((set.points, set.hidden), (points, hidden));
            labels.resize(labels.len() + set.labels, number as i64);
        }
        if labels.is_empty() {
            // A dimension of no extent is no tensor; this label is nobody's.
            return Self {
                v: vec![0.0; points * hidden],
                labels: vec![-2],
                tokens,
            };
        }
        let mut v = Vec::with_capacity(points * labels.len() * hidden);
        for point in 0..points {
            for set in &sets {
                let own = set.labels * hidden;
                v.extend_from_slice(&set.values[point * own..(point + 1) * own]);
            }
        }
        Self { v, labels, tokens }
    }
}

/// V of each row, `(rows, points, labels, hidden)`: as many labels as the row with the most has.
fn injected(windows: &[Row], points: usize, hidden: usize) -> ([usize; 4], Vec<f32>) {
    let conditions = || windows.iter().map(|row| row.conditions);
    let labels = conditions().flatten().map(|own| own.labels).max();
    // A dimension of no extent is no tensor.
    let labels = labels.unwrap_or(0).max(1);
    let mut values = vec![0.0; windows.len() * points * labels * hidden];
    for (row, own) in conditions().enumerate() {
        let Some(own) = own.filter(|own| own.labels > 0) else {
            continue;
        };
        debug_assert_eq!((own.points, own.hidden), (points, hidden));
        for (point, from) in own.values.chunks_exact(own.labels * hidden).enumerate() {
            let at = (row * points + point) * labels * hidden;
            values[at..at + from.len()].copy_from_slice(from);
        }
    }
    ([windows.len(), points, labels, hidden], values)
}

/// Rows of ids and their attention mask, filled up on the right.
pub(in crate::model) fn filled_up(
    rows: &[Vec<u32>],
    width: usize,
    pad: u32,
) -> (Vec<i64>, Vec<i64>) {
    let mut ids = vec![i64::from(pad); rows.len() * width];
    let mut mask = vec![0; rows.len() * width];
    for (at, row) in rows.iter().enumerate() {
        for (column, &id) in row.iter().enumerate() {
            ids[at * width + column] = i64::from(id);
            mask[at * width + column] = 1;
        }
    }
    (ids, mask)
}
