//! The earliest of all steps' timeouts, kept: it is asked for after each event, and of a large tree few steps change by one.

use crate::engine::Time;

/// The earliest timeout, and whose it is.
#[derive(Clone, Debug, Default)]
pub(super) enum Soonest {
    /// To be found anew.
    #[default]
    Unknown,
    /// No step has any.
    Never,
    /// That of the step of this name.
    At(Time, String),
}

impl Soonest {
    /// Takes note of the timeout of a step that may have changed.
    pub(super) fn note(&mut self, name: &str, timeout: Option<Time>) {
        match (&*self, timeout) {
            (Self::At(at, of), timeout) if of == name => {
                if timeout != Some(*at) {
                    *self = Self::Unknown;
                }
            }
            (Self::At(at, _), Some(timeout)) if timeout < *at => *self = Self::At(timeout, name.to_owned()),
            (Self::Never, Some(timeout)) => *self = Self::At(timeout, name.to_owned()),
            (Self::Unknown | Self::Never | Self::At(..), _) => {}
        }
    }

    /// Finds it among all, unless it is known.
    pub(super) fn find<'a>(&mut self, all: impl Iterator<Item = (&'a str, Time)>) {
        if matches!(self, Self::Unknown) {
            *self =
                all.min_by_key(|(_, at)| *at).map_or(Self::Never, |(name, at)| Self::At(at, name.to_owned()));
        }
    }

    /// The earliest timeout, if there is one. It is known.
    pub(super) fn time(&self) -> Option<Time> {
        match self {
            Self::At(at, _) => Some(*at),
            Self::Unknown | Self::Never => None,
        }
    }
}
