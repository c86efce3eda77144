// The page of the flow follows by itself; without this it is read anew by hand.
"use strict";
(function () {
  var live = document.getElementById("live");
  if (!live || live.dataset.live === "0" || !window.fetch || !window.DOMParser) return;
  document.querySelector("[data-for-live]").hidden = false;
  function follow() {
    if (document.hidden || live.querySelector("details[open]")) return;
    fetch(location.href, { credentials: "same-origin" }).then(function (answer) {
      if (!answer.ok || answer.redirected) throw new Error("signed out");
      return answer.text();
    }).then(function (text) {
      var fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
      if (fresh && !live.querySelector("details[open]")) live.replaceChildren.apply(live, fresh.childNodes);
    }).catch(function () {});
  }
  setInterval(follow, Number(live.dataset.live) * 1000);
})();
