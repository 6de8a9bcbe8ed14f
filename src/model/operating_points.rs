//! Operating points of a pack: named balances of precision and recall.
//!
//! In:  `viterbi_calibration.json`, if the pack has one.
//! Out: [`Transitions`] by name; without a name those of `default`.
//! Holds: a name that the pack does not have is never taken for another.

use std::{collections::BTreeMap, fs};

use serde::Deserialize;

use crate::model::{Error, Pack, Transitions};

/// The operating points of a pack.
#[derive(Debug)]
pub struct OperatingPoints {
    pack: String,
    points: BTreeMap<String, Transitions>,
}

#[derive(Deserialize)]
struct File {
    operating_points: BTreeMap<String, Point>,
}

#[derive(Deserialize)]
struct Point {
    biases: Transitions,
}

/// The operating point of those who name none.
const DEFAULT: &str = "default";

impl OperatingPoints {
    /// Reads what the pack has. One without a calibration of its head has `default` alone, which moves nothing.
    pub fn new(pack: &Pack) -> Result<Self, Error> {
        let head = pack.manifest().head.as_ref();
        let points = match head.and_then(|head| head.calibration.as_deref()) {
            Some(file) => read(pack, file)?,
            None => return Ok(Self::none(pack.name())),
        };
        Ok(Self {
            pack: pack.name().to_owned(),
            points,
        })
    }

    /// Those of a pack without a calibration of its head: `default` alone, which moves nothing.
    pub fn none(pack: &str) -> Self {
        Self {
            pack: pack.to_owned(),
            points: BTreeMap::from([(DEFAULT.to_owned(), Transitions::default())]),
        }
    }

    /// Whether there is the point of this name.
    ///
    /// # Errors
    ///
    /// As of [`OperatingPoints::transitions`].
    pub fn knows(&self, name: Option<&str>) -> Result<(), Error> {
        self.transitions(name).map(drop)
    }

    /// What it costs to go from class to class at the point of this name.
    ///
    /// # Errors
    ///
    /// A name that the pack does not have; the error tells those it has.
    pub fn transitions(&self, name: Option<&str>) -> Result<Transitions, Error> {
        let name = name.unwrap_or(DEFAULT);
        let point = self.points.get(name).copied();
        point.ok_or_else(|| Error::NoOperatingPoint {
            pack: self.pack.clone(),
            name: name.to_owned(),
            points: self.names().collect::<Vec<_>>().join(", "),
        })
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.points.keys().map(String::as_str)
    }
}

fn read(pack: &Pack, file: &str) -> Result<BTreeMap<String, Transitions>, Error> {
    let problem = |problem: String| Error::File {
        pack: pack.name().to_owned(),
        file: file.to_owned(),
        problem,
    };
    let text = fs::read_to_string(pack.path(file)).map_err(|error| problem(error.to_string()))?;
    let file: File = serde_json::from_str(&text).map_err(|error| problem(error.to_string()))?;
    let points = file.operating_points;
    if !points.contains_key(DEFAULT) {
        return Err(problem(format!("there is no operating point `{DEFAULT}`")));
    }
    Ok(points
        .into_iter()
        .map(|(name, point)| (name, point.biases))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_point_is_an_error_that_names_those_there_are() {
        let quick = Transitions {
            background_stay: -1.0,
            ..Transitions::default()
        };
        let points = OperatingPoints {
            pack: "test".to_owned(),
            points: BTreeMap::from([
                (DEFAULT.to_owned(), Transitions::default()),
                ("high_recall".to_owned(), quick),
            ]),
        };
        assert_eq!(points.transitions(None).unwrap(), Transitions::default());
        assert_eq!(points.transitions(Some("high_recall")).unwrap(), quick);
        let error = points.transitions(Some("high_recal")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "operating point `high_recal` does not exist in pack test; it has: default, high_recall"
        );
        assert!(error.hint().is_some());
    }

    #[test]
    fn the_calibration_has_exactly_six_numbers() {
        let keys = [
            "background_stay",
            "background_to_start",
            "inside_to_continue",
            "inside_to_end",
            "end_to_background",
            "end_to_start",
        ];
        let of = |keys: &[&str]| {
            let biases: Vec<String> = keys
                .iter()
                .map(|key| format!("\"transition_bias_{key}\": 0.5"))
                .collect();
            let text = format!(
                "{{\"operating_points\": {{\"default\": {{\"biases\": {{{}}}}}}}}}",
                biases.join(", ")
            );
            serde_json::from_str::<File>(&text)
        };
        assert_eq!(
            of(&keys).unwrap().operating_points["default"]
                .biases
                .end_to_start,
            0.5
        );
        assert!(of(&keys[1..]).is_err());
        assert!(of(&[&keys[..], &["start_to_end"]].concat()).is_err());
    }
}
