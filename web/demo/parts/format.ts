/** Numbers for people. */

const UNITS = ["B", "kB", "MB", "GB"];

/** Bytes, with the unit that leaves at most three digits before the point. */
export function bytes(n: number): string {
  let value = n;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** Bits per second of bytes per second. */
export function rate(bytesPerSecond: number): string {
  const kilobits = (bytesPerSecond * 8) / 1000;
  return kilobits >= 1000 ? `${(kilobits / 1000).toFixed(1)} Mbit/s` : `${Math.round(kilobits)} kbit/s`;
}
