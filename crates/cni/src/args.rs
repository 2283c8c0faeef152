//! `CNI_ARGS`: `KEY=value;KEY=value`, the oldest way to pass something for one container only.

use crate::error::{Code, Error};

/// The pairs of `CNI_ARGS`, not yet judged: each plugin knows its own keys ([`Args::values`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args(String);

impl Args {
    /// Takes the variable's text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The variable's text as it was received, unchecked.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn pairs(&self) -> impl Iterator<Item = Result<(&str, &str), Error>> {
        self.0.split(';').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
            Some((key, value)) if !value.contains('=') => Ok((key, value)),
            _ => {
                Err(invalid(format!("{pair:?} in CNI_ARGS is not KEY=value"), "write CNI_ARGS as KEY=value;KEY=value"))
            }
        })
    }

    /// The values of the plugin's own keys, in the order asked for; the last of several wins.
    ///
    /// # Errors
    /// Code 4 for a pair that is none, and for a key not asked for unless `IgnoreUnknown=1` (or `true`) is among them.
    pub fn values<const N: usize>(&self, keys: [&str; N]) -> Result<[Option<&str>; N], Error> {
        let mut values = [None; N];
        let mut unknown = None;
        let mut ignore_unknown = false;
        for pair in self.pairs() {
            let (key, value) = pair?;
            if key == "IgnoreUnknown" {
                ignore_unknown = parse_bool(value)?;
            } else if let Some(i) = keys.iter().position(|known| *known == key) {
                values[i] = Some(value);
            } else {
                unknown = Some(key);
            }
        }
        match unknown {
            Some(key) if !ignore_unknown => {
                Err(invalid(format!("{key:?} in CNI_ARGS is not known here"), "leave it out, or add IgnoreUnknown=1"))
            }
            _ => Ok(values),
        }
    }
}

fn parse_bool(value: &str) -> Result<bool, Error> {
    match value {
        "1" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "false" | "False" | "FALSE" => Ok(false),
        other => Err(invalid(format!("IgnoreUnknown={other:?} in CNI_ARGS is not a boolean"), "use 1 or 0")),
    }
}

fn invalid(msg: String, details: &str) -> Error {
    Error::new(Code::InvalidEnvironment, msg).with_details(details)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_come_in_the_order_asked_for() {
        let args = Args::new("IgnoreUnknown=1;K8S_POD_NAME=p;MAC=02:00:00:00:00:01;IP=10.0.0.1");
        assert_eq!(args.values(["IP", "MAC", "GATEWAY"]).unwrap(), [Some("10.0.0.1"), Some("02:00:00:00:00:01"), None]);
        assert_eq!(Args::default().values(["IP"]).unwrap(), [None]);
    }

    #[test]
    fn an_unknown_key_needs_permission() {
        assert!(Args::new("A=1").values(["IP"]).is_err());
        assert!(Args::new("A=1;IgnoreUnknown=true").values(["IP"]).is_ok());
        assert!(Args::new("ip=1").values(["IP"]).is_err(), "keys are case-sensitive");
    }

    #[test]
    fn a_pair_has_exactly_one_equals_sign() {
        for bad in ["A", "A=1=2", "IgnoreUnknown=yes"] {
            let error = Args::new(bad).values(["A"]).unwrap_err();
            assert_eq!(error.code(), Code::InvalidEnvironment, "{bad}");
        }
    }
}
