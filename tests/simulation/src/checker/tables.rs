use std::collections::{BTreeMap, BTreeSet};

use super::accounts::Accounts;
use super::{Look, Stored, Table};
use crate::history::Micros;

/// What the table can at no moment have held, and what it can only have come to by a mistake.
pub(super) fn contradictions(accounts: &Accounts<'_>, looks: &[Look]) -> Vec<String> {
    let at_once = looks.iter().flat_map(|look| accounts.check_table(look));
    let from_one_to_the_next =
        looks.windows(2).flat_map(|pair| accounts.setbacks(&pair[0].table, &pair[1].table));
    at_once.chain(from_one_to_the_next).chain(accounts.doubled_creations(looks)).collect()
}

impl Accounts<'_> {
    /// Whether the table holds every account that must be there, and none that cannot.
    fn check_table(&self, Look { at, table }: &Look) -> Vec<String> {
        let wrong = table.values().filter_map(|row| {
            let why = self.check_row(row, *at).err()?;
            let Stored { account, version } = row;
            Some(format!("{why}: the table holds {account:?} in version {version}"))
        });
        let missing = self.lives().filter(|(id, _)| !table.contains_key(*id)).filter_map(|(id, life)| {
            let is_lost = life.began_before(*at) && !life.may_have_ended_by(*at);
            is_lost.then(|| format!("an acknowledged account is lost: the table lacks {id}"))
        });
        wrong.chain(missing).chain(doubles(table)).collect()
    }

    fn check_row(&self, Stored { account, version }: &Stored, at: Micros) -> Result<(), &'static str> {
        let Some(life) = self.life(&account.id) else {
            return match self.unacknowledged(account, at) {
                0 => Err("an account that nobody made"),
                _ if *version != 1 => Err("a change that nobody asked for"),
                _ => Ok(()),
            };
        };
        let version = usize::try_from(*version).unwrap_or_default();
        if version < life.least_version(at) {
            return Err("fewer versions than acknowledged changes");
        }
        if version > life.most_version(at) {
            return Err("more versions than changes that were asked for");
        }
        self.check_seen(account, at, at)
    }

    /// What the table had and has no longer, although nobody took it back.
    fn setbacks(&self, earlier: &Table, later: &Table) -> Vec<String> {
        let gone = |(id, before): (&String, &Stored)| match later.get(id) {
            // Nobody was told the id, so nobody can have asked for its end.
            None => self.life(id).is_none().then(|| format!("an account is lost: {before:?}")),
            Some(now) => {
                let is_set_back = now.version < before.version
                    || (now.version == before.version && now.account != before.account);
                is_set_back.then(|| format!("a version does not grow: {before:?} became {now:?}"))
            }
        };
        earlier.iter().filter_map(gone).collect()
    }

    /// Creations of unknown outcome that stand for fewer rows than were ever seen of them.
    fn doubled_creations(&self, looks: &[Look]) -> Vec<String> {
        let mut made = BTreeMap::<_, BTreeSet<_>>::new();
        let rows = looks.iter().flat_map(|look| look.table.values().map(move |row| (look.at, row)));
        for (at, Stored { account, .. }) in rows.filter(|(_, row)| self.life(&row.account.id).is_none()) {
            let ids = made.entry((&account.email, &account.name)).or_default();
            ids.insert(&account.id);
            let asked = self.unacknowledged(account, at);
            if asked > 0 && ids.len() > asked {
                return vec![format!("one creation made several accounts: {ids:?} with {}", account.email)];
            }
        }
        Vec::new()
    }
}

fn doubles(table: &Table) -> Vec<String> {
    let mut owners = BTreeMap::<_, &str>::new();
    let doubled = table.values().filter_map(|Stored { account, .. }| {
        let other = owners.insert(&account.email, &account.id)?;
        Some(format!("an e-mail with two accounts: {} has {other} and {}", account.email, account.id))
    });
    doubled.collect()
}
