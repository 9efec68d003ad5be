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

  return { COLORS, look, number, known, mean, meanOf, grouped, short, axisTitle, lineStyle };
})();
