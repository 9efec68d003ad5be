// What all charts of the report share: reading numbers, writing them, and how a precision's line looks.
"use strict";

const AmpersandPlot = (() => {
  const DASHES = [[], [11, 7], [3, 4], [12, 4, 3, 4], [16, 4, 3, 4, 3, 4], [6, 2], [1, 4], [18, 6]];
  const WIDTHS = [6, 4, 2.5, 2];
  const COLORS = 8;
  const SHAPES = ["circle", "rect", "triangle", "rectRot"];

  // A missing number is NaN, as is one of another type.
  const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : NaN);
  const known = (value) => !Number.isNaN(value);
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  // The mean over those runs that have the number.
  function meanOf(runs, read) {
    const values = runs.map(read).filter(known);
    return values.length ? mean(values) : NaN;
  }

  const grouped = (value, digits = 0) =>
    value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const short = (value) => String(Number(value.toPrecision(4)));
  // An amount with three digits, or all those before the point.
  const amount = (value) =>
    Math.abs(value) >= 100 || value === 0
      ? grouped(value)
      : value.toLocaleString("en-US", { maximumSignificantDigits: 3 });

  // The text of a tick of a linear axis: as many digits as tell it from its neighbours.
  function tickText(value, _, ticks) {
    const gaps = ticks.slice(1).map((tick, i) => Math.abs(tick.value - ticks[i].value));
    const gap = Math.min(...gaps.filter((one) => one > 0));
    if (!Number.isFinite(gap)) return short(value);
    let digits = Math.min(12, Math.max(0, -Math.floor(Math.log10(gap) + 1e-9)));
    const scaled = gap * 10 ** digits;
    if (Math.abs(scaled - Math.round(scaled)) > 1e-6) digits += 1;  // of 2.5
    return grouped(value, digits);
  }

  const axisTitle = (text) => ({ display: true, text });

  // The look of slot 0, 1, ...: a precision keeps its slot, and with it its look, in every chart. Colours come
  // again after eight slots, with other dashes; markers after four, filled.
  function look(slot) {
    const round = Math.floor(slot / COLORS);
    return {
      color: slot % COLORS,
      dash: DASHES[(slot + 3 * round) % DASHES.length],
      width: WIDTHS[Math.min(slot, WIDTHS.length - 1)],
      shape: SHAPES[slot % SHAPES.length],
      filled: Math.floor(slot / SHAPES.length) % 2 === 1,
    };
  }

  // Equal lines lie on top of each other: a later one is narrower and dashed, so that those below show too.
  function lineStyle({ precision, slot }, theme) {
    const { color: index, dash, width, shape, filled } = look(slot);
    const color = theme.slots[index];
    return {
      precision,
      order: 50 - slot,
      borderColor: color,
      backgroundColor: color,
      borderDash: dash,
      borderWidth: width,
      pointStyle: shape,
      pointBorderColor: color,
      pointBackgroundColor: filled ? color : theme.surface,
      pointBorderWidth: 2,
      pointHoverRadius: 6,
    };
  }

  return { COLORS, look, number, known, mean, meanOf, grouped, short, amount, tickText, axisTitle, lineStyle };
})();
