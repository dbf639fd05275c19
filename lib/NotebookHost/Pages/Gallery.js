// Light or dark as the system has it, or as the reader chose.
(function () {
  'use strict';
  var root = document.documentElement;
  try { if (localStorage.theme) root.dataset.theme = localStorage.theme; } catch (e) { /* no storage: the system's choice */ }

  document.addEventListener('DOMContentLoaded', function () {
    document.getElementById('theme').addEventListener('click', function () {
      var dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
      root.dataset.theme = dark ? 'light' : 'dark';
      try { localStorage.theme = root.dataset.theme; } catch (e) { /* for this page only */ }
    });
    // On paper there is nothing to click.
    addEventListener('beforeprint', function () { document.querySelectorAll('details.code').forEach(function (d) { d.open = true; }); });
    scoreboard();
    presenter();
  });

  function scoreboard() {
    var table = document.getElementById('scoreboard');
    if (!table) return;
    var body = table.tBodies[0], rows = Array.from(body.rows), heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach(function (head, column) {
      head.firstElementChild.addEventListener('click', function () {
        var up = head.getAttribute('aria-sort') !== 'ascending';
        heads.forEach(function (h) { h.setAttribute('aria-sort', h === head ? (up ? 'ascending' : 'descending') : 'none'); });
        rows.sort(function (a, b) {
          var x = a.cells[column], y = b.cells[column], order;
          if (x.dataset.value === undefined) order = x.textContent.localeCompare(y.textContent);
          else if (x.dataset.value === '' || y.dataset.value === '') return (x.dataset.value === '') - (y.dataset.value === '');   // what has no number comes last
          else order = Number(x.dataset.value) - Number(y.dataset.value);
          return up ? order : -order;
        });
        rows.forEach(function (row) { body.appendChild(row); });
      });
    });
    var find = document.getElementById('find'), track = document.getElementById('track'), kind = document.getElementById('kind'), verdict = document.getElementById('verdict'), shown = document.getElementById('shown');
    function filter() {
      var words = find.value.toLowerCase().split(/\s+/).filter(Boolean), count = 0;
      rows.forEach(function (row) {
        var text = row.textContent.toLowerCase();
        row.hidden = !(words.every(function (w) { return text.includes(w); }) && (!track.value || row.dataset.track === track.value) && (!kind.value || row.dataset.kind === kind.value) && (!verdict.value || row.dataset.verdict === verdict.value));
        count += row.hidden ? 0 : 1;
      });
      shown.textContent = count + ' of ' + rows.length + ' claims';
    }
    [find, track, kind, verdict].forEach(function (field) { field.addEventListener('input', filter); });
  }

  // One section a screen; what comes after a bet waits until it is asked for.
  function presenter() {
    var start = document.getElementById('present');
    if (!start) return;
    var steps = Array.from(document.querySelectorAll('section.step')), at = 0, bar = null;
    steps.forEach(function (step) {
      var bet = Array.from(step.querySelectorAll('p > strong:first-child')).find(function (s) { return s.textContent === 'Your bet.'; });
      for (var next = bet && bet.parentElement.nextElementSibling; next; next = next.nextElementSibling) next.classList.add('after-bet');
    });
    function waits(step) { return step.querySelector('.after-bet') && !step.classList.contains('revealed'); }
    function show() {
      steps.forEach(function (step, i) { step.classList.toggle('current', i === at); });
      bar.querySelector('output').textContent = (at + 1) + ' of ' + steps.length;
      bar.querySelector('.forward').textContent = waits(steps[at]) ? 'Show what happens' : 'Next →';
      bar.querySelector('.forward').disabled = at === steps.length - 1 && !waits(steps[at]);
      bar.querySelector('.back').disabled = at === 0;
      dispatchEvent(new Event('resize'));                                              // figures fit their new width
    }
    function forward() {
      if (waits(steps[at])) steps[at].classList.add('revealed');
      else if (at < steps.length - 1) { at++; scrollTo(0, 0); }
      show();
    }
    function back() { if (at > 0) at--; scrollTo(0, 0); show(); }
    function end() { document.body.classList.remove('presenting'); bar.remove(); bar = null; steps[at].scrollIntoView(); dispatchEvent(new Event('resize')); start.focus(); }
    start.addEventListener('click', function () {
      bar = document.createElement('div');
      bar.className = 'presenter';
      bar.setAttribute('role', 'toolbar');
      bar.setAttribute('aria-label', 'presentation');
      bar.innerHTML = '<button type="button" class="back">← Back</button><output aria-live="polite"></output><button type="button" class="forward">Next →</button><button type="button" class="end">End</button>';
      document.body.appendChild(bar);
      bar.querySelector('.back').addEventListener('click', back);
      bar.querySelector('.forward').addEventListener('click', forward);
      bar.querySelector('.end').addEventListener('click', end);
      document.body.classList.add('presenting');
      at = 0;
      show();
      bar.querySelector('.forward').focus();
    });
    addEventListener('keydown', function (e) {
      if (!bar || e.target.matches('input, select, textarea')) return;
      var onButton = e.target.matches('button, summary, a');
      if (e.key === 'ArrowRight' || e.key === 'PageDown' || (e.key === ' ' && !onButton)) { e.preventDefault(); forward(); }
      else if (e.key === 'ArrowLeft' || e.key === 'PageUp') { e.preventDefault(); back(); }
      else if (e.key === 'Escape') end();
    });
  }
})();
