// Draws what the tables beside it say; without this the tables are all there is.
"use strict";
(function () {
  if (!window.Chart) return;
  var rtl = document.documentElement.dir === "rtl";
  var style = getComputedStyle(document.documentElement);
  var ink = style.getPropertyValue("--ink").trim(), accent = style.getPropertyValue("--accent").trim();
  Chart.defaults.color = ink;
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  document.querySelectorAll("figure[data-chart]").forEach(function (figure) {
    var told = JSON.parse(figure.dataset.chart), canvas = figure.querySelector("canvas");
    figure.hidden = false;
    canvas.parentNode.style.height = 60 + told.labels.length * 34 + "px";
    new Chart(canvas, {
      type: "bar",
      data: { labels: told.labels, datasets: [{ data: told.values, backgroundColor: accent }] },
      options: {
        indexAxis: "y", animation: false, maintainAspectRatio: false, locale: document.documentElement.lang,
        plugins: { legend: { display: false }, tooltip: { rtl: rtl } },
        scales: { x: { reverse: rtl, beginAtZero: true, ticks: { precision: 0 } }, y: { position: rtl ? "right" : "left" } }
      }
    });
  });
})();
