(() => {
  const root = document.documentElement;
  const charts = JSON.parse(document.getElementById("chart-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const config = { displayModeBar: false };
  const drawn = new Set();
  let printing = false;
  let width = innerWidth;

  // Colours are named by the style sheet, so a figure is drawn anew when the theme changes.
  function resolve(value, style) {
    if (typeof value === "string") {
      return value.startsWith("var(--") ? style.getPropertyValue(value.slice(4, -1)).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => resolve(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, style)]));
    }
    return value;
  }

  function draw(id) {
    const place = document.getElementById(id);
    const { data, layout } = resolve(charts[id], getComputedStyle(root));
    if (printing) Object.assign(layout, { width: 640, autosize: false });
    Plotly.react(place, data, layout, config);
    // On a narrow page a legend takes more lines than there is room for: the figure grows by them.
    const legend = place.querySelector(".legend");
    const room = layout.legend?.y < 0 ? layout.margin.b : layout.margin.t;
    const missing = legend ? Math.ceil(legend.getBBox().height - room) : 0;
    if (missing > 0) Plotly.relayout(place, { height: layout.height + missing });
    drawn.add(id);
    place.dataset.drawn = "true";
  }

  const drawAgain = () => drawn.forEach(draw);
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        seen.unobserve(entry.target);
        draw(entry.target.id);
      }
    }
  }, { rootMargin: "800px" });
  for (const [id, { layout }] of Object.entries(charts)) {
    const place = document.getElementById(id);
    place.style.minHeight = `${layout.height}px`; // so that links lead to the right place before it is drawn
    seen.observe(place);
  }

  document.getElementById("theme").addEventListener("click", () => {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
    root.dataset.theme = isDark ? "light" : "dark";
    drawAgain();
  });
  dark.addEventListener("change", drawAgain);
  addEventListener("resize", () => {
    if (innerWidth !== width) drawAgain(); // and not where a phone hides its address bar
    width = innerWidth;
  });

  addEventListener("beforeprint", () => {
    printing = true;
    root.dataset.printing = "true";
    Object.keys(charts).forEach(draw);
  });
  addEventListener("afterprint", () => {
    printing = false;
    delete root.dataset.printing;
    drawAgain();
  });
})();
