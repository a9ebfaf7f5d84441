use std::fmt;
use std::str::FromStr;

/// An amount in the smallest unit of its currency (cents, for EUR). Floating point never touches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    /// How many of the smallest unit; negative for what is owed.
    pub minor: i64,
    /// What it is counted in.
    pub currency: Currency,
}

impl Money {
    /// The sum, or nothing where the currencies differ or the amount does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        let minor = self.minor.checked_add(other.minor)?;
        Some(Self { minor, ..self })
    }
}

/// A currency by its ISO 4217 code, such as `EUR`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// The text is not a currency code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a currency code of three capital letters (ISO 4217), such as EUR")]
pub struct CurrencyError;

impl Currency {
    /// The code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only capital ASCII letters are ever stored")
    }
}

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(text: &str) -> Result<Self, CurrencyError> {
        let code: [u8; 3] = text.as_bytes().try_into().or(Err(CurrencyError))?;
        if code.iter().all(u8::is_ascii_uppercase) { Ok(Self(code)) } else { Err(CurrencyError) }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_add_up_only_within_one_currency_and_without_overflow() {
        let eur = |minor| Money { minor, currency: "EUR".parse().unwrap() };
        let usd = Money { minor: 1, currency: "USD".parse().unwrap() };
        assert_eq!(eur(1).checked_add(eur(2)), Some(eur(3)));
        assert_eq!(eur(1).checked_add(usd), None);
        assert_eq!(eur(i64::MAX).checked_add(eur(1)), None);
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        for text in ["eur", "EU", "EURO", "E1R", "€"] {
            assert_eq!(text.parse::<Currency>(), Err(CurrencyError), "{text}");
        }
    }
}
