/// Names from this length on may differ in two letters and still be meant; shorter ones in one.
const LONG: usize = 12;

/// The name among `known` that `found` was probably meant to be: the same but for case, hyphens and a slip
/// or two of the finger.
pub(super) fn meant<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |name: &str| name.replace('-', "_").to_ascii_uppercase();
    let found = fold(found);
    let slips = known.into_iter().map(|name| (distance(&found, &fold(name)), name));
    let likely = slips.filter(|&(slips, name)| slips <= if name.len() < LONG { 1 } else { 2 });
    likely.min().map(|(_, name)| name)
}

/// How many letters to insert, drop, change or swap with their neighbour make the one out of the other
/// (Damerau-Levenshtein, no place edited twice).
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let changed = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let swapped = i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
            let swap = if swapped { rows[i - 2][j - 2] + 1 } else { usize::MAX };
            row.push(changed.min(swap).min(rows[i - 1][j] + 1).min(row[j - 1] + 1));
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_slips_of_the_finger() {
        let pairs = [("", "", 0), ("port", "port", 0), ("prot", "port", 1), ("por", "port", 1)];
        let more = [("ports", "port", 1), ("pork", "port", 1), ("", "port", 4), ("host", "port", 2)];
        for (one, other, slips) in pairs.into_iter().chain(more) {
            assert_eq!((distance(one, other), distance(other, one)), (slips, slips), "{one} {other}");
        }
    }

    #[test]
    fn short_names_are_meant_by_one_slip_and_long_ones_by_two() {
        let known = ["DB_HOST", "DB_PORT", "DRAIN_TIMEOUT"];
        assert_eq!(meant("DB_HOTS", known), Some("DB_HOST"));
        assert_eq!(meant("db-host", known), Some("DB_HOST"));
        assert_eq!(meant("DB_HOSTEL", known), None);
        assert_eq!(meant("DRIAN_TIMEOUTS", known), Some("DRAIN_TIMEOUT"));
        assert_eq!(meant("DRIAN_TIMEOUTSS", known), None);
    }
}
