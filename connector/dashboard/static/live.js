// A page that says so follows by itself; without this it is read anew by hand.
"use strict";
(function () {
  var live = document.getElementById("live");
  if (!live || live.dataset.live === "0" || !window.fetch || !window.DOMParser) return;
  document.querySelector("[data-for-live]").hidden = false;
  function busy() {
    var at = document.activeElement;
    var typing = at && live.contains(at) && /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName);
    return document.hidden || typing || live.querySelector("details[open]:has(form)");
  }
  var timer = setInterval(function () {
    if (busy()) return;
    fetch(location.href, { credentials: "same-origin" }).then(function (answer) {
      if (!answer.ok || answer.redirected) throw new Error("signed out");
      return answer.text();
    }).then(function (text) {
      var fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
      if (!fresh || busy()) return;
      if (fresh.innerHTML !== live.innerHTML) live.replaceChildren.apply(live, fresh.childNodes);
      if (fresh.dataset.live === "0") clearInterval(timer);
    }).catch(function () {});
  }, Number(live.dataset.live) * 1000);
})();
