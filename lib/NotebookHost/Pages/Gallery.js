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

  // One section a screen; what comes after a bet waits until it is asked for, bet after bet.
  function presenter() {
    var start = document.getElementById('present');
    if (!start) return;
    var steps = Array.from(document.querySelectorAll('section.step')), at = 0, bar = null;
    // Of each section the bets in the order of the page, and behind each what it holds back.
    var bets = steps.map(function (step) {
      var children = Array.from(step.children), found = [];
      children.forEach(function (child, i) { if (child.querySelector('.bet')) found.push(children.slice(i + 1)); });
      return found;
    });
    var taken = steps.map(function () { return 0; });
    bets.forEach(function (found) { found.forEach(function (behind) { behind.forEach(function (child) { child.classList.add('after-bet'); }); }); });
    function waits(i) { return taken[i] < bets[i].length; }
    function hold(i) {
      bets[i].forEach(function (behind) { behind.forEach(function (child) { child.classList.remove('held'); }); });
      if (waits(i)) bets[i][taken[i]].forEach(function (child) { child.classList.add('held'); });
    }
    // A figure is as tall as the screen allows, its title and its controls seen.
    function fit(presenting) {
      document.querySelectorAll('.js-plotly-plot').forEach(function (plot) {
        if (!window.Plotly || !plot.offsetParent) return;
        if (!plot.dataset.height) plot.dataset.height = plot._fullLayout.height;
        var own = Number(plot.dataset.height), wide = plot.closest('figure').clientWidth - 8;
        var fitted = presenting ? { height: Math.min(own, Math.max(320, innerHeight - 230)), width: wide, 'font.size': 15 }
          : { height: own, width: null, autosize: true, 'font.size': 13 };
        plot.style.height = fitted.height + 'px';
        window.Plotly.relayout(plot, fitted).then(function () { if (!presenting) window.Plotly.Plots.resize(plot); });
      });
    }
    function show() {
      steps.forEach(function (step, i) { step.classList.toggle('current', i === at); });
      hold(at);
      bar.querySelector('output').textContent = (at + 1) + ' of ' + steps.length;
      bar.querySelector('.forward').textContent = waits(at) ? 'Show what happens' : 'Next →';
      bar.querySelector('.forward').disabled = at === steps.length - 1 && !waits(at);
      bar.querySelector('.back').disabled = at === 0;
      fit(true);
    }
    function forward() {
      if (waits(at)) {
        var next = bets[at][taken[at]++][0];
        show();
        if (next) next.scrollIntoView();
        return;
      }
      if (at < steps.length - 1) { at++; scrollTo(0, 0); }
      show();
    }
    function back() { if (at > 0) at--; scrollTo(0, 0); show(); }
    function end() {
      document.body.classList.remove('presenting');
      bar.remove();
      bar = null;
      fit(false);
      steps[at].scrollIntoView();
      start.focus();
    }
    function code() {
      var cells = Array.from(steps[at].querySelectorAll('details.code')), open = cells.some(function (d) { return !d.open; });
      cells.forEach(function (d) { d.open = open; });
    }
    start.addEventListener('click', function () {
      bar = document.createElement('div');
      bar.className = 'presenter';
      bar.setAttribute('role', 'toolbar');
      bar.setAttribute('aria-label', 'presentation');
      bar.innerHTML = '<button type="button" class="back">← Back</button><output aria-live="polite"></output><button type="button" class="forward">Next →</button><button type="button" class="code">Code</button><button type="button" class="end">End</button>';
      document.body.appendChild(bar);
      bar.querySelector('.back').addEventListener('click', back);
      bar.querySelector('.forward').addEventListener('click', forward);
      bar.querySelector('.code').addEventListener('click', code);
      bar.querySelector('.end').addEventListener('click', end);
      document.body.classList.add('presenting');
      at = 0;
      taken = steps.map(function () { return 0; });
      show();
      bar.querySelector('.forward').focus();
    });
    addEventListener('keydown', function (e) {
      if (!bar || e.target.matches('input, select, textarea')) return;
      var onButton = e.target.matches('button, summary, a');
      if (e.key === 'ArrowRight' || e.key === 'PageDown' || (e.key === ' ' && !onButton)) { e.preventDefault(); forward(); }
      else if (e.key === 'ArrowLeft' || e.key === 'PageUp') { e.preventDefault(); back(); }
      else if (e.key === 'c' && !e.ctrlKey && !e.metaKey) code();
      else if (e.key === 'Escape') end();
    });
    hands();
  }

  // The hands for each choice of a bet, counted by the speaker, and shown beside the answer.
  function hands() {
    document.querySelectorAll('.bet').forEach(function (bet) {
      var choices = Array.from(bet.querySelectorAll('li[data-choice]')), counts = choices.map(function () { return 0; });
      var answers = Array.from(document.querySelectorAll('.bet-answer')).filter(function (a) { return a.dataset.bet === bet.dataset.bet; });
      function tell() {
        answers.forEach(function (answer) {
          var line = answer.querySelector('.hands') || answer.appendChild(document.createElement('p'));
          line.className = 'hands';
          line.textContent = counts.some(Boolean) ? 'The room: ' + choices.map(function (choice, i) {
            return choice.dataset.choice + ' ' + counts[i] + (choice.dataset.choice === answer.dataset.answer ? ' ✓' : '');
          }).join(', ') : '';
        });
      }
      choices.forEach(function (choice, i) {
        var box = document.createElement('span'), number = document.createElement('output');
        box.className = 'hands';
        number.textContent = '0';
        function count(by) {
          counts[i] = Math.max(0, counts[i] + by);
          number.textContent = counts[i];
          tell();
        }
        [['−', -1, 'one hand less for '], ['+', 1, 'one hand more for ']].forEach(function (way) {
          var button = document.createElement('button');
          button.type = 'button';
          button.textContent = way[0];
          button.setAttribute('aria-label', way[2] + choice.dataset.choice);
          button.addEventListener('click', function () { count(way[1]); });
          box.appendChild(button);
          if (way[1] < 0) box.appendChild(number);
        });
        choice.appendChild(box);
      });
    });
  }
})();
