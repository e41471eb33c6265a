//! Where a block's outputs come from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where the value of an output comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// `service:NAME:address` or `service:NAME:port`: a service in Nomad that the job registers.
    Service {
        /// Its name.
        name: String,
        /// What of it.
        part: ServicePart,
    },
    /// `variable:PATH#KEY`: an item of a Nomad variable in the task's namespace.
    Variable {
        /// The variable's path.
        path: String,
        /// The item.
        key: String,
    },
    /// `meta:KEY`: of the registered job.
    Meta {
        /// The key.
        key: String,
    },
}

/// What of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServicePart {
    /// Where it can be reached.
    Address,
    /// And by which port.
    Port,
}

impl ServicePart {
    /// As the author writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Port => "port",
        }
    }
}

/// The sources that can be written, for messages.
const FORMS: &str =
    "write \"service:NAME:address\", \"service:NAME:port\", \"variable:PATH#KEY\" or \"meta:KEY\"";

impl Source {
    /// Reads a source as the author writes it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to do about it.
    pub(super) fn read(text: &str) -> Result<Self, (String, String)> {
        let wrong = |why: &str| Err((why.to_owned(), FORMS.to_owned()));
        let is_name = |name: &str| !name.is_empty() && !name.contains(char::is_whitespace);
        match text.split_once(':') {
            Some(("service", rest)) => {
                let Some((name, part)) = rest.rsplit_once(':').filter(|(name, _)| is_name(name)) else {
                    return wrong("does not say which service, and what of it");
                };
                let part = match part {
                    "address" => ServicePart::Address,
                    "port" => ServicePart::Port,
                    _ => return wrong("asks for what is neither the address nor the port of a service"),
                };
                Ok(Self::Service { name: name.to_owned(), part })
            }
            Some(("variable", rest)) => {
                let Some((path, key)) = rest.rsplit_once('#') else {
                    return wrong("does not say which item of the variable");
                };
                let is_path = is_name(path) && path.split('/').all(|part| !part.is_empty());
                if !is_path || key.is_empty() {
                    return wrong("is no path of a variable and a key");
                }
                Ok(Self::Variable { path: path.to_owned(), key: key.to_owned() })
            }
            Some(("meta", key)) if is_name(key) => Ok(Self::Meta { key: key.to_owned() }),
            Some(("meta", _)) => wrong("does not say which key of the meta"),
            Some(("consul", _)) => Err((
                "asks Consul, which dtree does not look at".to_owned(),
                "let the job register the service with `provider = \"nomad\"`".to_owned(),
            )),
            Some(_) | None => wrong("is no source"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { name, part } => write!(f, "service:{name}:{}", part.word()),
            Self::Variable { path, key } => write!(f, "variable:{path}#{key}"),
            Self::Meta { key } => write!(f, "meta:{key}"),
        }
    }
}
