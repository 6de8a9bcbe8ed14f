//! What a broker refuses, and what to grant: one line that names the topic, the group or the transactional
//! id.

use std::{collections::BTreeSet, fmt};

use rdkafka::error::RDKafkaErrorCode as Code;

/// What brokers refuse for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// librdkafka's code.
    pub code: Code,
    /// Of what.
    pub of: Resource,
}

/// What a right is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// Topics that are read.
    Read(BTreeSet<String>),
    /// Topics that are written.
    Write(BTreeSet<String>),
    /// A consumer group, and the name of the member if it has one.
    Group {
        /// The group.
        id: String,
        /// `group.instance.id`.
        member: Option<String>,
    },
    /// A transactional id.
    Transactions(String),
    /// The cluster.
    Cluster,
}

impl Refusal {
    /// With the name of the group, which the producer does not know.
    #[must_use]
    pub fn in_group(mut self, group: &str, of: Option<&str>) -> Self {
        if let Resource::Group { id, member } = &mut self.of {
            group.clone_into(id);
            *member = of.map(str::to_owned);
        }
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.of, self.code) {
            (Resource::Group { id, member }, Code::FencedInstanceId) => write!(
                f,
                "another process is member `{}` of group `{id}` (FencedInstanceId): give each worker its \
                 own source.group_instance_id",
                member.as_deref().unwrap_or("?")
            ),
            (Resource::Group { id, member }, Code::UnreleasedInstanceId) => write!(
                f,
                "group `{id}` still has a member `{}` (UnreleasedInstanceId): start this worker again \
                 once its session is over",
                member.as_deref().unwrap_or("?")
            ),
            (of, code) => match of {
                Resource::Read(topics) => write!(
                    f,
                    "the broker refuses to let this user read {} ({code:?}): grant READ and DESCRIBE on it",
                    Topics(topics)
                ),
                Resource::Write(topics) => write!(
                    f,
                    "the broker refuses to let this user write {} ({code:?}): grant WRITE and DESCRIBE on \
                     it",
                    Topics(topics)
                ),
                Resource::Group { id, .. } => write!(
                    f,
                    "the broker refuses to let this user read as group `{id}` ({code:?}): grant READ on it"
                ),
                Resource::Transactions(id) => write!(
                    f,
                    "the broker refuses this user the transactional id `{id}` ({code:?}): grant WRITE and \
                     DESCRIBE on it"
                ),
                Resource::Cluster => write!(
                    f,
                    "the broker refuses this worker ({code:?}): check its rights, its group and its \
                     timeouts"
                ),
            },
        }
    }
}

/// Names of topics in a sentence.
struct Topics<'a>(&'a BTreeSet<String>);

impl fmt::Display for Topics<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(|name| format!("`{name}`")).collect();
        match &names[..] {
            [one] => write!(f, "topic {one}"),
            several => write!(f, "each of the topics {}", several.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_what_it_is_about() {
        let topics = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let group = Resource::Group {
            id: "weir".to_owned(),
            member: Some("a-0".to_owned()),
        };
        let shown = |of: &Resource, code| {
            let of = of.clone();
            Refusal { code, of }.to_string()
        };
        let cases = [
            (
                Resource::Read(topics(&["in"])),
                "topic `in`",
                "grant READ and DESCRIBE",
            ),
            (
                Resource::Write(topics(&["a", "b"])),
                "topics `a`, `b`",
                "grant WRITE and DESCRIBE",
            ),
            (group.clone(), "group `weir`", "grant READ"),
            (
                Resource::Transactions("t".to_owned()),
                "id `t`",
                "grant WRITE and DESCRIBE",
            ),
        ];
        for (of, name, grant) in cases {
            let shown = shown(&of, Code::TopicAuthorizationFailed);
            assert!(shown.contains(name) && shown.contains(grant), "{shown}");
        }
        let fenced = shown(&group, Code::FencedInstanceId);
        assert!(fenced.contains("member `a-0` of group `weir`"), "{fenced}");
    }
}
