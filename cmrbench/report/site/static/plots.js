// What charts share: the library, colours and shapes that do not need colour vision, texts that are not markup.
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon", "triangle-down", "pentagon"];

const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const printed = (value, digits = 3) => (value === null || value === undefined ? "—" : value.toFixed(digits));

let library = null;
function loadLibrary() {
  library ??= unpacked("data-library").then((text) => {
    document.head.append(make("script", { textContent: text }));
    if (!window.Plotly) throw new Error("the chart library did not start");
    return window.Plotly;
  });
  return library;
}

const palette = () => theme.color("--palette").split(/\s*,\s*/);
const styleOf = (position) => {
  const colors = palette();
  return {
    color: colors[position % colors.length],
    symbol: SYMBOLS[position % SYMBOLS.length],
    dash: DASHES[Math.floor(position / colors.length) % DASHES.length],
  };
};

// Room for the legend below a chart, so that many methods do not squeeze it.
function heightFor(entries) {
  const narrow = matchMedia("(max-width: 640px)").matches;
  return (narrow ? 340 : 380) + 19 * Math.ceil(entries / (narrow ? 1 : 4));
}

function layoutOf(changes) {
  const text = theme.color("--text");
  const axis = {
    gridcolor: theme.color("--line"), linecolor: theme.color("--line-strong"), zeroline: false, automargin: true,
    tickfont: { color: theme.color("--muted") }, title: { font: { color: theme.color("--muted"), size: 13 } },
  };
  const narrow = matchMedia("(max-width: 640px)").matches;
  const base = {
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: text },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 52, r: 16, t: 12, b: 48 }, height: narrow ? 380 : 400, dragmode: false, hovermode: "closest", showlegend: true,
    hoverlabel: { bgcolor: theme.color("--panel"), bordercolor: theme.color("--line-strong"), font: { color: text }, align: "left" },
    legend: { itemsizing: "constant", orientation: "h", yanchor: "top", y: -0.22, x: 0, font: { size: 11 } },
  };
  const { xaxis = {}, yaxis = {}, ...rest } = changes;
  const merged = (own) => ({ ...axis, ...own, title: { ...axis.title, text: escaped(own.title ?? "") } });
  return { ...base, ...rest, xaxis: merged(xaxis), yaxis: merged(yaxis) };
}

async function draw(figure, { traces, layout, sentence, table, empty }) {
  const home = find(".plot", figure);
  find("figcaption p", figure).textContent = sentence;
  const details = find("details", figure);
  details.hidden = !table;
  if (table) find(".scroll", details).replaceChildren(numbers(table));
  if (empty) {
    if (home.data) window.Plotly.purge(home);
    home.replaceChildren(make("p", { className: "none", textContent: empty }));
    return;
  }
  if (!home.data) home.replaceChildren();
  const Plotly = await loadLibrary();
  home.setAttribute("role", "img");
  home.setAttribute("aria-label", `${find("h3", figure).textContent}. ${sentence} The numbers are in the table below.`);
  await Plotly.react(home, traces, layout, { displayModeBar: false, responsive: true, showTips: false, staticPlot: false });
}

function numbers({ head, rows }) {
  const table = make("table", { className: "plain" });
  const line = table.createTHead().insertRow();
  head.forEach((text, i) => line.append(make("th", { scope: "col", className: i ? "" : "text", textContent: text })));
  const body = table.createTBody();
  for (const [name, ...cells] of rows) {
    const row = body.insertRow();
    row.append(make("th", { scope: "row", textContent: name }));
    for (const cell of cells) row.insertCell().textContent = cell;
  }
  return table;
}
