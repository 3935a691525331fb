// Numbers as people read them.

const integer = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 12,345. */
export function count(number) {
  return integer.format(number);
}

/** 12.3 KB: a kilobyte is 1,000 bytes, as for disks and networks. */
export function bytes(number) {
  const units = [
    [1e6, "MB"],
    [1e3, "KB"],
  ];
  const [unit, name] = units.find(([unit]) => number >= unit) ?? [1, "bytes"];
  return `${digits(number / unit)} ${name}`;
}

/** 0.123 ms. */
export function milliseconds(number) {
  return `${digits(number)} ms`;
}

/** 12.3 %. */
export function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** Three digits, and never more decimals than make sense. */
function digits(number) {
  if (number >= 100) {
    return count(number);
  }
  return number.toFixed(number >= 10 ? 1 : number >= 1 ? 2 : 3);
}
