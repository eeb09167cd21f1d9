// The charts: from a table, a direction, a code length and chosen methods to what is drawn and to the same as numbers.
const meanOf = (lists) => {
  const good = lists.filter(Boolean);
  if (!good.length || good.length < lists.length) return null;
  const length = Math.min(...good.map((list) => list.length));
  return Array.from({ length }, (_, i) => {
    const values = good.map((list) => list[i]).filter((v) => v !== null && v !== undefined);
    return values.length === good.length ? values.reduce((a, b) => a + b, 0) / values.length : null;
  });
};

const columnOf = (board, task, bits) =>
  board.columns.findIndex((column) => column.task === task && String(column.bits ?? "") === bits);

const spreadOf = (cell) => parseFloat(find("i", cell)?.textContent.replace("±", "")) || null;

function details(data, row, directions, bits, part) {
  const own = data?.rows[row.index];
  return own ? meanOf(directions.map((direction) => own[`${direction}|${bits}`]?.[part] ?? null)) : null;
}

// Where the names of points go: beside them, towards the middle; those of close neighbours above and below.
function labelPlaces(points, named) {
  const fits = points.map(({ row }) => Math.log(row.fit));
  const values = points.map(({ value }) => value);
  const [wide, high] = [fits, values].map((list) => Math.max(...list) - Math.min(...list) || 1);
  const middle = (Math.max(...fits) + Math.min(...fits)) / 2;
  const placed = [];
  const places = new Map();
  for (const { row, value } of points.filter((point) => named.has(point.row.index))) {
    const x = Math.log(row.fit);
    const near = placed.filter((other) => Math.abs(other.x - x) < wide / 4 && Math.abs(other.value - value) < high / 18).length;
    const side = x > middle ? "left" : "right";
    places.set(row.index, `${["middle", "bottom", "top"][near % 3]} ${side}`);
    placed.push({ x, value });
  }
  return places;
}

function timeFigure({ board, task, bits, chosen }) {
  const column = columnOf(board, task, bits);
  const longest = String(Math.max(0, ...board.columns.map((c) => c.bits ?? 0)) || "");
  const categories = [...new Set(board.rows.map((row) => row.category))];
  const names = new Set(chosen.map((row) => row.index));
  const points = board.rows
    .map((row) => ({ row, value: column < 0 ? null : numberOf(row.cells[column]) }))
    .filter(({ row, value }) => value !== null && row.fit !== null && row.fit > 0 && (!row.reads || names.has(row.index)));
  const places = labelPlaces(points, names);
  const traces = categories.map((category, i) => {
    const own = points.filter(({ row }) => row.category === category);
    const style = styleOf(i);
    return {
      type: "scatter", mode: "markers+text", name: escaped(category), showlegend: own.length > 0,
      x: own.map(({ row }) => row.fit), y: own.map(({ value }) => value),
      text: own.map(({ row }) => (names.has(row.index) ? escaped(row.title) : "")),
      textposition: own.map(({ row }) => places.get(row.index) ?? "middle right"),
      textfont: { size: 11 }, cliponaxis: false,
      hovertext: own.map(({ row, value }) => `<b>${escaped(row.title)}</b><br>${escaped(board.metric)} ${printed(value)}<br>fit ${row.fit} s`),
      hoverinfo: "text",
      marker: {
        symbol: style.symbol, color: style.color, size: own.map(({ row }) => (names.has(row.index) ? 13 : 7)),
        opacity: 0.9, line: { width: 1, color: theme.color("--page") },
      },
    };
  });
  const note = longest && bits !== longest ? ` The seconds are those at ${longest} bits.` : "";
  return {
    traces,
    layout: layoutOf({ xaxis: { title: "seconds of fit, logarithmic", type: "log" }, yaxis: { title: board.metric, rangemode: "tozero" } }),
    sentence: `All methods of the table, ${task}${bits ? `, ${bits} bits` : ""}; those chosen are named. Rows that read labels are drawn only if chosen.${note}`,
    empty: points.length ? "" : "No row has both a number and a time of training.",
    table: {
      head: ["Method", "Category", "Fit (s)", board.metric],
      rows: points.map(({ row, value }) => [row.title, row.category, String(row.fit), printed(value)]),
    },
  };
}

function bitsFigure({ board, task, chosen }) {
  const columns = board.columns.map((column, i) => ({ ...column, i })).filter((c) => c.task === task && c.bits);
  const sentence = `${task}: chosen methods by code length, with the standard deviation over seeds.`;
  const lines = chosen.map((row) => ({ row, values: columns.map((c) => numberOf(row.cells[c.i])) }));
  if (columns.length < 2) return { sentence, empty: "Code lengths are compared in tables of hashing methods with two of them or more." };
  return {
    traces: lines.map(({ row, values }, i) => {
      const style = styleOf(i);
      return {
        type: "scatter", mode: "lines+markers", name: escaped(row.title), x: columns.map((c) => c.bits), y: values,
        error_y: { type: "data", array: columns.map((c) => spreadOf(row.cells[c.i]) ?? 0), thickness: 1, width: 3 },
        line: { color: style.color, dash: style.dash, width: 2 }, marker: { symbol: style.symbol, size: 9 },
        hovertext: values.map((v, k) => `<b>${escaped(row.title)}</b><br>${columns[k].bits} bits: ${printed(v)}`), hoverinfo: "text",
      };
    }),
    layout: layoutOf({
      height: heightFor(lines.length),
      xaxis: { title: "bits", type: "log", tickvals: columns.map((c) => c.bits), ticktext: columns.map((c) => String(c.bits)) },
      yaxis: { title: board.metric },
    }),
    sentence,
    empty: lines.length ? "" : "Choose a method.",
    table: { head: ["Method", ...columns.map((c) => `${c.bits} bits`)], rows: lines.map(({ row, values }) => [row.title, ...values.map((v) => printed(v))]) },
  };
}

function curveFigure({ board, task, bits, chosen, data }, part, x, axis, sentence) {
  const directions = board.columns[columnOf(board, task, bits)]?.directions ?? [];
  const lines = chosen
    .map((row) => ({ row, values: details(data, row, directions, bits, part) }))
    .filter(({ values }) => values);
  const places = x.slice(0, Math.max(0, ...lines.map(({ values }) => values.length)));
  return {
    traces: lines.map(({ row, values }, i) => {
      const style = styleOf(chosen.indexOf(row));
      return {
        type: "scatter", mode: "lines+markers", name: escaped(row.title), x: places, y: values,
        line: { color: style.color, dash: style.dash, width: 2 },
        marker: { symbol: style.symbol, size: 7, maxdisplayed: part === 1 ? 8 : 0 },
        hovertext: values.map((v, k) => `<b>${escaped(row.title)}</b><br>${axis.short} ${places[k]}: ${printed(v)}`), hoverinfo: "text",
      };
    }),
    layout: layoutOf({ height: heightFor(lines.length), xaxis: { title: axis.title, ...axis.more(places) }, yaxis: { title: axis.y, rangemode: "tozero" } }),
    sentence: `${task}${bits ? `, ${bits} bits` : ""}: ${sentence}`,
    empty: lines.length ? "" : !data ? "No curves are stored for this table; the same cmrbench run adds them." : "The chosen methods have no curves here.",
    table: lines.length && { head: [axis.title, ...lines.map(({ row }) => row.title)], rows: places.map((p, k) => [String(p), ...lines.map(({ values }) => printed(values[k]))]) },
  };
}

const recallFigure = (options) =>
  curveFigure(options, 1, Array.from({ length: 21 }, (_, i) => i / 20), { title: "recall", y: "interpolated precision", short: "recall", more: () => ({ range: [-0.01, 1.02] }) },
    "best precision at that recall or above, mean over queries and seeds.");

const cutoffFigure = (options) =>
  curveFigure(options, 0, options.data?.cutoffs ?? [], { title: "k, logarithmic", y: "precision", short: "first", more: (places) => ({ type: "log", tickvals: places, ticktext: places.map(String) }) },
    "share of relevant items among the first k, mean over queries and seeds.");

function classFigure({ board, task, bits, chosen, data }) {
  const directions = board.columns[columnOf(board, task, bits)]?.directions ?? [];
  const lines = chosen.map((row) => ({ row, values: details(data, row, directions, bits, 2) })).filter(({ values }) => values?.length);
  const classes = data?.classes ?? [];
  const sentence = `${task}${bits ? `, ${bits} bits` : ""}: ${data?.metric ?? "value"} of the queries of each class, mean over seeds.`;
  if (!lines.length || !classes.length) {
    return { sentence, empty: data ? "No values by class are stored for the chosen methods." : "No values by class are stored for this table; the same cmrbench run adds them." };
  }
  const titles = lines.map(({ row }) => row.title);
  const numbered = (names) => names.map((_, i) => i);
  return {
    traces: [{
      type: "heatmap", z: lines.map(({ values }) => values), x: numbered(classes), y: numbered(titles), colorscale: "Cividis", zmin: 0,
      xgap: 1, ygap: 1, hoverinfo: "text",
      text: lines.map(({ row, values }) => values.map((v, k) => `<b>${escaped(row.title)}</b><br>${escaped(classes[k])}: ${printed(v)}`)),
      colorbar: { thickness: 10, outlinewidth: 0, tickfont: { color: theme.color("--muted") } },
    }],
    layout: layoutOf({
      height: 150 + 26 * lines.length, margin: { l: 8, r: 8, t: 12, b: 8 },
      xaxis: { tickvals: numbered(classes), ticktext: classes.map(escaped), tickangle: -45, showgrid: false },
      yaxis: { tickvals: numbered(titles), ticktext: titles.map(escaped), autorange: "reversed", showgrid: false },
    }),
    sentence,
    table: { head: ["Class", ...titles], rows: classes.map((name, k) => [name, ...lines.map(({ values }) => printed(values[k]))]) },
  };
}

function tiesFigure({ board, task, bits, chosen }) {
  const column = columnOf(board, task, bits);
  const spans = chosen
    .map((row) => ({ row, value: column < 0 ? null : numberOf(row.cells[column]), ends: row.cells[column]?.dataset.p?.split(" ").map(Number) }))
    .filter(({ ends }) => ends);
  const sentence = `${task}${bits ? `, ${bits} bits` : ""}: what the number would be with relevant items last (left) and first (right) among those of equal distance; the marker is the number under the default rule.`;
  if (!spans.length) return { sentence, empty: "No spans of ties: they are measured for hash codes, and for metrics that the two extreme orders bound." };
  const places = spans.map((_, i) => i);
  return {
    traces: [{
      type: "scatter", mode: "markers", x: spans.map(({ value }) => value), y: places, hoverinfo: "text",
      hovertext: spans.map(({ row, value, ends }) => `<b>${escaped(row.title)}</b><br>${printed(ends[0])} to ${printed(ends[1])}, number ${printed(value)}`),
      error_x: {
        type: "data", symmetric: false, thickness: 6, width: 0, color: palette()[0],
        array: spans.map(({ value, ends }) => Math.max(0, ends[1] - value)), arrayminus: spans.map(({ value, ends }) => Math.max(0, value - ends[0])),
      },
      marker: { symbol: "diamond", size: 10, color: palette()[1], line: { width: 1, color: theme.color("--page") } },
    }],
    layout: layoutOf({
      height: 110 + 28 * spans.length, showlegend: false, margin: { l: 8, r: 16, t: 12, b: 48 },
      xaxis: { title: board.metric }, yaxis: { tickvals: places, ticktext: spans.map(({ row }) => escaped(row.title)), autorange: "reversed" },
    }),
    sentence,
    table: { head: ["Method", "Worst order", board.metric, "Best order"], rows: spans.map(({ row, value, ends }) => [row.title, printed(ends[0]), printed(value), printed(ends[1])]) },
  };
}
