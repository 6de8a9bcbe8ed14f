//! What it costs a path to go from class to class.

use serde::Deserialize;

/// Added to a path's score where one class follows another: the six numbers of `viterbi_calibration.json`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transitions {
    /// O after O.
    #[serde(rename = "transition_bias_background_stay")]
    pub background_stay: f32,
    /// B or S after O.
    #[serde(rename = "transition_bias_background_to_start")]
    pub background_to_start: f32,
    /// I after B or I.
    #[serde(rename = "transition_bias_inside_to_continue")]
    pub inside_to_continue: f32,
    /// E after B or I.
    #[serde(rename = "transition_bias_inside_to_end")]
    pub inside_to_end: f32,
    /// O after E or S.
    #[serde(rename = "transition_bias_end_to_background")]
    pub end_to_background: f32,
    /// B or S after E or S.
    #[serde(rename = "transition_bias_end_to_start")]
    pub end_to_start: f32,
}

impl Transitions {
    /// The least and the most that E and S gain over O by what may follow; at the text's end nothing does.
    pub fn gain_of_ended(&self) -> [f32; 2] {
        let gains = [
            0.0,
            self.end_to_background - self.background_stay,
            self.end_to_start - self.background_to_start,
        ];
        [
            gains.into_iter().fold(f32::INFINITY, f32::min),
            gains.into_iter().fold(f32::NEG_INFINITY, f32::max),
        ]
    }
}
