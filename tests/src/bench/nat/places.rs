//! Places of other sorts than one NAT each, and real browsers.

use std::net::IpAddr;

use anyhow::Result;

use super::{Options, PlaceResult};
use crate::netlab::internet::kind::{Allocation, Dependence, Kind};
use crate::netlab::internet::nat::Nat;
use crate::netlab::internet::net::{Line, Net, Policy, Spot};
use crate::traversal::town::Home;
use crate::traversal::{End, Outcome, Town, meet};

/// What most homes have: one port for a socket, open to whom it has sent to.
const USUAL: Kind = Kind {
    mapping: Dependence::Independent,
    allocation: Allocation::Preserving,
    filtering: Dependence::Port,
};
/// What lets nobody in whom it doesn't know, by a port that nobody can know.
const HARD: Kind =
    Kind { mapping: Dependence::Port, allocation: Allocation::Random, filtering: Dependence::Port };

/// All of them, one after the other.
pub(super) async fn all(options: &Options) -> Result<Vec<PlaceResult>> {
    let mut done = Vec::new();
    let mut town = Town::build(options.seed + 1000).await?;
    let mut place = 0;
    let mut name = |side: &str| {
        place += 1;
        format!("{side}{place}")
    };
    for (what, wanted, hairpins) in [
        ("two NATs in a row, a carrier for each", Outcome::Direct, None),
        ("one carrier for both, which hairpins", Outcome::Direct, Some(true)),
        ("one carrier for both, which doesn't hairpin", Outcome::Relayed, Some(false)),
    ] {
        let first = carrier(&mut town, hairpins == Some(true))?;
        let second = if hairpins.is_some() { first } else { carrier(&mut town, false)? };
        let one = behind(&mut town, &name("a"), first, 1).await?;
        let other = behind(&mut town, &name("b"), second, 2).await?;
        done.push(native(&mut town, options, what, (&one, &other), wanted).await?);
    }
    let wall = |town: &mut Town| town.internet().nat_below(Net::ROOT, Nat::firewall(Dependence::Port));
    let (first, second) = (wall(&mut town), wall(&mut town));
    let one = town.home_below(&name("a"), first, "2001:db8:1::2".parse()?, Line::default()).await?;
    let other = town.home_below(&name("b"), second, "2001:db8:2::2".parse()?, Line::default()).await?;
    done.push(native(&mut town, options, "IPv6 alone, firewalls", (&one, &other), Outcome::Direct).await?);
    let one = town.home(&name("a"), 1, None).await?;
    let other = town.home(&name("b"), 2, Some(HARD)).await?;
    done.push(
        native(&mut town, options, "a public address and the hardest NAT", (&one, &other), Outcome::Direct)
            .await?,
    );
    let lossy = Line { loss: 0.05, ..Line::default() };
    let (first, second) = (town.internet().nat(USUAL)?, town.internet().nat(USUAL)?);
    let one = town.home_below(&name("a"), first, IpAddr::from([192, 168, 1, 2]), lossy).await?;
    let other = town.home_below(&name("b"), second, IpAddr::from([192, 168, 2, 2]), lossy).await?;
    done.push(
        native(
            &mut town,
            options,
            "usual NATs, a tenth of all packets lost",
            (&one, &other),
            Outcome::Direct,
        )
        .await?,
    );
    if !options.no_browsers {
        browsers(&mut town, options, &mut done, &mut name).await?;
    }
    Ok(done)
}

async fn browsers(
    town: &mut Town,
    options: &Options,
    done: &mut Vec<PlaceResult>,
    name: &mut impl FnMut(&str) -> String,
) -> Result<()> {
    town.start_coturn().await?;
    for (kinds, native, wanted) in [
        ([USUAL, USUAL], false, Outcome::Direct),
        ([HARD, HARD], false, Outcome::Relayed),
        ([USUAL, USUAL], true, Outcome::Direct),
        ([HARD, HARD], true, Outcome::Relayed),
    ] {
        let one = town.home(&name("a"), 1, Some(kinds[0])).await?;
        let other = town.home(&name("b"), 2, Some(kinds[1])).await?;
        let ice = town.ice(false)?;
        let mut chromium = End::Chromium(Box::new(town.chromium(&one, ice).await?));
        let (mut end, with) = if native {
            (End::Native(Box::new(town.native(&other)?)), "a native peer")
        } else {
            let ice = town.ice(false)?;
            (End::Chromium(Box::new(town.chromium(&other, ice).await?)), "a Chromium")
        };
        let met = meet(town, (&mut chromium, one.spot), (&mut end, other.spot), options.patience()).await?;
        let what = format!("a Chromium behind {} and {with} behind {}", kinds[0], kinds[1]);
        done.push(PlaceResult { what, wanted, met });
    }
    for (what, policy) in [("no UDP", Policy::NoUdp), ("HTTPS alone", Policy::OnlyHttps)] {
        let nat = town.internet().nat(USUAL)?;
        let line = Line { policy, ..Line::default() };
        let one = town.home_below(&name("a"), nat, IpAddr::from([192, 168, 1, 2]), line).await?;
        let ice = town.ice_over_tcp()?;
        let mut chromium = End::Chromium(Box::new(town.chromium(&one, ice).await?));
        let other = town.home(&name("b"), 2, Some(USUAL)).await?;
        let mut end = End::Native(Box::new(town.native(&other)?));
        let met = meet(town, (&mut chromium, one.spot), (&mut end, other.spot), options.patience()).await?;
        let what = format!(
            "a Chromium in an office with {what}, by coturn over TCP, and a native peer behind {USUAL}"
        );
        done.push(PlaceResult { what, wanted: Outcome::Relayed, met });
    }
    Ok(())
}

fn carrier(town: &mut Town, hairpins: bool) -> Result<Spot> {
    let internet = town.internet();
    let kind = Kind { allocation: Allocation::Random, ..USUAL };
    let nat = Nat::new(kind, internet.public_address()?, internet.fresh());
    Ok(internet.nat_below(Net::ROOT, if hairpins { nat.hairpinning() } else { nat }))
}

/// A home behind a NAT of its own behind a carrier's.
async fn behind(town: &mut Town, namespace: &str, carrier: Spot, number: u8) -> Result<Home> {
    let internet = town.internet();
    let nat = Nat::new(USUAL, IpAddr::from([100, 64, 0, number]), internet.fresh());
    let below = internet.nat_below(carrier, nat);
    town.home_below(namespace, below, IpAddr::from([192, 168, number, 2]), Line::default()).await
}

async fn native(
    town: &mut Town,
    options: &Options,
    what: &str,
    (one, other): (&Home, &Home),
    wanted: Outcome,
) -> Result<PlaceResult> {
    let mut caller = End::Native(Box::new(town.native(one)?));
    let mut callee = End::Native(Box::new(town.native(other)?));
    let met = meet(town, (&mut caller, one.spot), (&mut callee, other.spot), options.patience()).await?;
    Ok(PlaceResult { what: format!("native peers: {what}"), wanted, met })
}
