//! Services: enough instances with all the tags must pass their checks.

use super::{Obstacle, Verdict, clamp};
use crate::{
    cluster::{Instance, Unwell},
    manifest::Service,
};

pub(super) fn judge(service: &Service, is_optional: bool, instances: &[Instance]) -> Verdict {
    if instances.is_empty() {
        let none = "no instance is registered";
        return if is_optional {
            Verdict::Met(format!("{none}, and it is optional"))
        } else {
            Verdict::not_yet(none)
        };
    }
    let counted: Vec<&Instance> = instances.iter().filter(|instance| has_tags(service, instance)).collect();
    if counted.is_empty() {
        let tags = service.tags.join(", ");
        return Verdict::not_yet(format!("none of {} registered is tagged {tags}", instances.len()));
    }
    let passing = counted.iter().filter(|instance| instance.health.is_ok()).count();
    let text = format!("{passing} of {} passing ({} needed)", counted.len(), service.at_least);
    if clamp(passing) >= service.at_least {
        return Verdict::Met(text);
    }
    let failing = counted.iter().find_map(|instance| Some((instance, instance.health.as_ref().err()?.why())));
    let text = match failing {
        Some((instance, why)) => format!("{text}; {}: {why}", instance.address),
        None => text,
    };
    Verdict::NotYet(Obstacle { text, is_blocked: false })
}

/// Whether enough might pass, did those pass of which nobody can say.
pub(super) fn might_pass(service: &Service, instances: &[Instance]) -> bool {
    let might = |instance: &&Instance| !matches!(instance.health, Err(Unwell::Failing(_)));
    let tagged = instances.iter().filter(|instance| has_tags(service, instance));
    clamp(tagged.filter(might).count()) >= service.at_least
}

fn has_tags(service: &Service, instance: &Instance) -> bool {
    service.tags.iter().all(|tag| instance.tags.contains(tag))
}
