//! What tells the ways apart: a colour for the transport and the tier, which a shape says as well for whoever
//! sees no colours, and the kind of line for the rest.

use shipmate::Tier;

use crate::bench::plan::{Network, Transport, Wait, Way};

pub(super) struct Look {
    /// Of the style sheet: the colour, and the kind of line.
    pub(super) class: String,
    /// The outline of a mark around 0, 0.
    pub(super) mark: &'static str,
}

impl Look {
    pub(super) fn of(way: Way) -> Self {
        let (colour, mark) = match (way.transport, way.tier) {
            (Transport::Unix, _) => ("unix", "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z"),
            (Transport::Tcp, _) => ("tcp", "M-3.6 -3.6H3.6V3.6H-3.6Z"),
            (Transport::Pipe, _) => ("pipe", "M0 -4.8L4.6 3.4H-4.6Z"),
            (Transport::Shm, Some(Tier::Sealed)) => ("sealed", "M0 4.8L4.6 -3.4H-4.6Z"),
            (Transport::Shm, Some(Tier::Trusted)) => {
                ("trusted", "M-5 0L-1.6 1.6L0 5L1.6 1.6L5 0L1.6 -1.6L0 -5L-1.6 -1.6Z")
            }
            (Transport::Shm, _) => ("copy", "M0 -5L5 0L0 5L-5 0Z"),
        };
        let line = match (way.network, way.transport, way.wait) {
            (Network::Raw, _, Wait::Spinning) => "raw spins",
            (Network::Raw, ..) => "raw",
            (_, Transport::Shm, Wait::Sleeping) => "sleeping",
            _ => "plain",
        };
        Look { class: format!("{colour} {line}"), mark }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_way_looks_different() {
        let mut ways = Way::ALL.to_vec();
        ways.extend(Way::ALL.into_iter().map(Way::limit));
        ways.sort_by_key(|way| way.order());
        ways.dedup();
        assert_eq!(ways.len(), Way::ALL.len() + 5);
        let looks: HashSet<(String, &str)> =
            ways.iter().map(|&way| Look::of(way)).map(|look| (look.class, look.mark)).collect();
        assert_eq!(looks.len(), ways.len());
    }
}
