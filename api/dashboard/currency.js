// The currency of the page's amounts: the choice, which is remembered in this browser.

import { byId, el } from "./dom.js";
import { remember, remembered } from "./storage.js";

export const USD = "USD";
// The codes that the gateway accepts, the most used ones first (backend/identity/currencies.py).
const CODES = (
  "USD EUR GBP JPY BTC ETH AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD " +
  "BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD " +
  "EGP ERN ETB FJD FKP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK " +
  "JMD JOD KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK " +
  "MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN " +
  "PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB " +
  "TJS TMT TND TOP TRY TTD TWD TZS UAH UGX UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR " +
  "ZMW ZWG"
).split(" ");
// Candles exist in these: venues quote coins in them.
export const BOOK_CURRENCIES = ["USD", "EUR", "GBP"];
const KEY = "currency";
const COINS = { BTC: "Bitcoin", ETH: "Ether" };

// Fills the list and returns the remembered currency; `onChange(code)` runs when another is chosen.
export function addCurrencySwitch(onChange) {
  const select = byId("currency");
  const names = new Intl.DisplayNames("en", { type: "currency" });
  select.append(...CODES.map((code) => el("option", { value: code }, `${code} · ${COINS[code] ?? names.of(code)}`)));
  select.value = rememberedCode();
  select.addEventListener("change", () => {
    remember(KEY, select.value);
    onChange(select.value);
  });
  return select.value;
}

// The query part of an address; empty for USD, the gateway's default.
export const currencyQuery = (code, mark) => (code === USD ? "" : `${mark}currency=${code.toLowerCase()}`);

function rememberedCode() {
  const code = remembered(KEY);
  return CODES.includes(code) ? code : USD;
}
