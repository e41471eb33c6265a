//! What answers on the network: tcp, http, dns. It may always come, so there is no *never* here.

use super::Verdict;
use crate::{
    cluster::{Answer, HttpAnswer},
    manifest::{Probe, Target},
};

/// How many addresses are told.
const TOLD: usize = 3;

pub(super) fn judge(probe: &Probe, answer: &Answer) -> Verdict {
    match (&probe.target, answer) {
        (Target::Tcp { address }, Answer::Accepts(Ok(()))) => {
            Verdict::Met(format!("{address} accepts connections"))
        }
        (Target::Http { url, status, contains }, Answer::Http(Ok(answer))) => {
            http(url, *status, contains.as_deref(), answer)
        }
        (Target::Dns { name }, Answer::Addresses(Ok(addresses))) if !addresses.is_empty() => {
            let told: Vec<&str> = addresses.iter().take(TOLD).map(String::as_str).collect();
            let more = if addresses.len() > TOLD { ", …" } else { "" };
            Verdict::Met(format!("{name} is {}{more}", told.join(", ")))
        }
        (Target::Dns { name }, Answer::Addresses(Ok(_))) => {
            Verdict::not_yet(format!("{name} has no address"))
        }
        (Target::Tcp { address: what }, Answer::Accepts(Err(why)))
        | (Target::Http { url: what, .. }, Answer::Http(Err(why)))
        | (Target::Dns { name: what }, Answer::Addresses(Err(why))) => {
            Verdict::not_yet(format!("{what}: {why}"))
        }
        _ => Verdict::not_yet("was answered in another way than it was asked"),
    }
}

fn http(url: &str, status: Option<u16>, contains: Option<&str>, answer: &HttpAnswer) -> Verdict {
    let found = answer.status;
    let is_wanted = status.map_or_else(|| (200..300).contains(&found), |status| status == found);
    if !is_wanted {
        let wanted = status.map_or_else(|| "2xx".to_owned(), |status| status.to_string());
        return Verdict::not_yet(format!("{url} answers {found}, not {wanted}"));
    }
    match contains {
        Some(text) if !answer.is_found => {
            Verdict::not_yet(format!("{url} answers {found}, without {text:?} in it"))
        }
        Some(_) | None => Verdict::Met(format!("{url} answers {found}")),
    }
}
