/* The portal's own script: what HTML, CSS and htmx do not do by themselves. Every page works without it.
   No eval, no inline handlers, so it runs under script-src 'self'. */
(() => {
  'use strict';

  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const body = document.body;
  document.documentElement.classList.add('js');

  /* ---------- time: the viewer's zone, ages that stay true, the clock ---------- */
  const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
  const fromProfile = body.dataset.zoneFrom === 'profile';
  const viewerZone = fromProfile ? body.dataset.zone : browserZone;
  if (!fromProfile && body.dataset.zone !== browserZone) {
    document.cookie = `browser_zone=${encodeURIComponent(browserZone)}; path=/; max-age=31536000; samesite=lax`;
  }

  const formats = new Map();
  const part = (date, options, zone = viewerZone) => {
    const key = zone + JSON.stringify(options);
    if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat('en-GB', {timeZone: zone, ...options}));
    return formats.get(key).format(date);
  };
  const clock = (date) => part(date, {hour: '2-digit', minute: '2-digit', hourCycle: 'h23'});
  const zoneName = (date) => part(date, {hour: '2-digit', timeZoneName: 'short'}).replace(/^\S+\s/, '');
  const day = (date, form) => {
    const year = {year: 'numeric'};
    const words = `${part(date, {weekday: 'short'})} ${part(date, {day: 'numeric'})} ${part(date, {month: 'short'}).replace('Sept', 'Sep')}`;
    return form !== 'full' && part(date, year) === part(new Date(), year) ? words : `${words} ${part(date, year)}`;
  };

  // Live fragments are rendered once for all who watch, so their times arrive in UTC.
  function localise(root) {
    for (const element of $$('time[data-form]', root)) {
      if (element.dataset.zone === viewerZone) continue;
      const date = new Date(element.dateTime);
      const form = element.dataset.form;
      const today = day(date, 'full') === day(new Date(), 'full');
      let words = day(date, form);
      if (form === 'clock' || (form === 'auto' && today)) words = clock(date);
      else if (form === 'full') words += ` ${part(date, {hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23'})}`;
      else if (form !== 'date') words += ` ${clock(date)}`;
      if (form !== 'date' && !('bare' in element.dataset)) words += ` ${zoneName(date)}`;
      element.textContent = words;
      element.dataset.zone = viewerZone;
    }
  }

  const UNITS = [['d', 86400], ['h', 3600], ['m', 60], ['s', 1]];
  function refreshAges() {
    for (const element of $$('time[data-age]')) {
      const seconds = (Date.now() - new Date(element.dateTime)) / 1000;
      const size = Math.abs(seconds);
      const [unit, length] = UNITS.find(([, each]) => size >= each) || UNITS[3];
      const words = `${Math.floor(size / length)} ${unit}`;
      const text = element.dataset.age === 'bare' ? words : seconds < 0 ? `in ${words}` : `${words} ago`;
      if (element.textContent !== text) element.textContent = text;
    }
    // A running clock: seconds since a moment, as mm:ss.
    for (const element of $$('time[data-elapsed]')) {
      const seconds = Math.max(0, Math.floor((Date.now() - new Date(element.dateTime)) / 1000));
      const two = (number) => String(number).padStart(2, '0');
      const hours = Math.floor(seconds / 3600);
      element.textContent = `${hours ? `${hours}:` : ''}${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
    }
    for (const element of $$('time[data-clock]')) element.textContent = clock(new Date());
  }

  function offerZone() {
    for (const label of $$('[data-zone-label]')) label.textContent = zoneName(new Date());
    for (const name of $$('[data-zone-here]')) name.textContent = viewerZone;
    const offer = $('[data-zone-offer]');
    if (offer && fromProfile && viewerZone !== browserZone) {
      $('[data-zone-name]', offer).textContent = browserZone;
      $('[name=time_zone]', offer).value = browserZone;
      offer.hidden = false;
    }
  }

  // The list of zones is long, so it is made only for those who start to type one.
  document.addEventListener('focusin', (event) => {
    const list = event.target.matches?.('[data-zones]') && event.target.list;
    if (list && !list.children.length && Intl.supportedValuesOf) {
      list.append(...Intl.supportedValuesOf('timeZone').map((name) => new Option(name, name)));
    }
  });

  /* ---------- banner: network failures and errors of the server ---------- */
  const banner = $('#banner');
  const showBanner = (text) => { banner.textContent = text; banner.hidden = false; };

  /* ---------- live: one stream per page, its state in one indicator ---------- */
  const STALE = 20000;
  const POLL = 5000;
  const live = $('#live');
  const streams = new Map();
  const streamOf = (element) => element?.getAttribute?.('hx-sse:connect') ? element : null;

  function stream(element) {
    if (!streams.has(element)) streams.set(element, {heard: Date.now(), failures: 0, timer: 0, retryAt: 0, asking: false, connection: null, ended: false});
    return streams.get(element);
  }

  function heard(element, connection) {
    const state = stream(element);
    Object.assign(state, {heard: Date.now(), failures: 0, retryAt: 0, ended: false, connection: connection || state.connection});
    showLive();
  }

  function failed(element) {
    const state = stream(element);
    state.failures += 1;
    if (state.failures >= 3) startPolling(element);
    showLive();
  }

  function startPolling(element) {
    const state = stream(element);
    const url = element.dataset.poll;
    if (state.timer || !url) return;
    const ask = () => {
      if (document.hidden || state.asking) return;
      if (!element.isConnected) return stopPolling(element);
      state.asking = true;
      htmx.ajax('GET', url, {source: element, target: element, swap: element.getAttribute('hx-swap') || 'innerMorph', isPoll: true})
        .finally(() => { state.asking = false; });
    };
    state.timer = setInterval(ask, POLL);
    ask();
  }

  function stopPolling(element) {
    const state = stream(element);
    clearInterval(state.timer);
    state.timer = 0;
  }

  function showLive() {
    for (const element of streams.keys()) if (!element.isConnected) { stopPolling(element); streams.delete(element); }
    const states = [...streams.values()];
    live.hidden = !states.length;
    if (live.hidden) return;
    const oldest = Math.min(...states.filter((state) => !state.ended).map((state) => state.heard), Date.now());
    let text = 'Live';
    let kind = 'on';
    if (states.every((state) => state.ended)) [text, kind] = ['Finished', 'off'];
    else if (!document.hidden && Date.now() - oldest > STALE) [text, kind] = [`Reconnecting, data from ${clock(oldest)}`, 'stale'];
    else if (states.some((state) => state.timer)) [text, kind] = ['Live, every 5 s', 'slow'];
    const words = $('.lt', live);
    if (words.textContent !== text) words.textContent = text;
    $('.dot', live).className = `dot ${kind}`;
    live.classList.toggle('is-stale', kind === 'stale');
  }

  // A half-open connection never ends by itself: cut it, and htmx opens the next one.
  function watch() {
    for (const [element, state] of streams) {
      if (state.retryAt && Date.now() >= state.retryAt && !document.hidden && !element._htmx?.sse) {
        state.retryAt = Date.now() + 15000; // stands until the stream is heard
        htmx.ajax('GET', element.getAttribute('hx-sse:connect'), {source: element});
      }
      if (!document.hidden && !state.ended && Date.now() - state.heard > STALE * 2) {
        state.connection?.reader?.cancel();
      }
    }
    showLive();
  }

  document.addEventListener('htmx:sse:after:connection', (event) => heard(event.target, event.detail.connection));
  document.addEventListener('htmx:sse:before:message', (event) => {
    heard(event.target, event.detail.connection);
    const name = event.detail.message.event;
    if (name === 'poll') startPolling(event.target);
    else if (!name) stopPolling(event.target);
  });
  document.addEventListener('htmx:sse:error', (event) => streamOf(event.target) && failed(event.target));
  document.addEventListener('htmx:sse:close', (event) => {
    if (event.detail.reason === 'message') { stream(event.target).ended = true; stopPolling(event.target); }
    showLive();
  });
  document.addEventListener('visibilitychange', () => {
    // htmx pauses streams of hidden tabs and resumes them from the last event; give it time before calling them stale.
    if (!document.hidden) for (const state of streams.values()) state.heard = Math.max(state.heard, Date.now() - STALE / 2);
    refreshAges();
    showLive();
  });

  const isStreamRequest = (ctx) => {
    const element = streamOf(ctx?.sourceElement);
    return element && ctx.request.action.split('?')[0] === element.getAttribute('hx-sse:connect').split('?')[0] && element;
  };

  function retryStream(element) {
    failed(element);
    const state = stream(element);
    state.retryAt = Date.now() + Math.min(15000, 1000 * 2 ** state.failures);
  }

  document.addEventListener('htmx:before:request', (event) => {
    const element = isStreamRequest(event.detail.ctx);
    if (element) { stream(element); showLive(); }
  });

  document.addEventListener('htmx:before:response', (event) => {
    const {ctx} = event.detail;
    const element = isStreamRequest(ctx);
    if (element && !(ctx.response.headers.get('Content-Type') || '').includes('text/event-stream')) {
      event.preventDefault(); // never swap a refused stream's body into the page
      retryStream(element);
    } else if (ctx.isPoll && !stream(ctx.sourceElement).timer) {
      event.preventDefault(); // asked before the stream came back: older than what it has sent since
    }
  });

  document.addEventListener('htmx:after:request', (event) => {
    const {ctx} = event.detail;
    if (ctx.response.status >= 500) {
      showBanner(`The portal answered with an error (${ctx.response.status}). What you see may be out of date; reload the page before you go on.`);
      return;
    }
    banner.hidden = true;
    if (streamOf(ctx.sourceElement)) stream(ctx.sourceElement).heard = Date.now();
    else if (ctx.response.status < 400 && ctx.request.method !== 'GET') {
      $('#refusal')?.replaceChildren();
      ctx.sourceElement.closest?.('dialog[open]')?.close();
    }
    showLive();
  });

  document.addEventListener('htmx:error', (event) => {
    const {ctx} = event.detail;
    const element = isStreamRequest(ctx);
    if (element) return retryStream(element);
    if (ctx && !ctx.response) showBanner('The portal can’t be reached. Nothing was sent twice; try again when the connection is back.');
  });

  document.addEventListener('htmx:after:swap', (event) => {
    const {ctx} = event.detail;
    localise(document);
    const told = $('#refusal-told');
    if (told && ctx?.hx?.retarget === '#refusal') {
      $$('dialog[open]').forEach((dialog) => dialog.close());
      told.focus();
    }
  });

  // What a person opened stays open when the region around it is replaced.
  htmx.registerExtension('portal', {
    htmx_before_morph_attr: (element, {attrName}) =>
      !(attrName === 'open' && element.matches('details,dialog')) && !(attrName === 'aria-pressed' && element.dataset.toggle),
  });

  /* ---------- forms: one press sends once ---------- */
  const release = (form) => {
    delete form.dataset.sent;
    $$('[aria-disabled=true]', form).forEach((button) => button.removeAttribute('aria-disabled'));
  };
  document.addEventListener('submit', (event) => {
    const form = event.target;
    if (form.method !== 'post') return;
    if (form.dataset.sent) { event.preventDefault(); event.stopImmediatePropagation(); return; }
    form.dataset.sent = '1';
    event.submitter?.setAttribute('aria-disabled', 'true');
    setTimeout(() => release(form), 10000); // a download leaves the page as it is
  }, true);
  document.addEventListener('htmx:finally:request', (event) => {
    const form = event.detail.ctx?.sourceElement?.closest?.('form');
    if (form) release(form);
  });
  addEventListener('pageshow', () => $$('form[data-sent]').forEach(release));

  /* ---------- log: follow, wrap, announce ---------- */
  const controlled = (button) => document.getElementById(button.getAttribute('aria-controls'));
  const pressed = (button) => button.getAttribute('aria-pressed') === 'true';
  const toEnd = (log) => { log.scrollTop = log.scrollHeight; };

  const toggles = {
    follow: (log, on) => { if (on) toEnd(log); },
    wrap: (log, on) => log.classList.toggle('nowrap-lines', !on),
    announce: (log, on) => log.setAttribute('aria-live', on ? 'polite' : 'off'),
  };

  document.addEventListener('click', (event) => {
    const button = event.target.closest?.('[data-toggle]');
    if (!button) return;
    const on = !pressed(button);
    button.setAttribute('aria-pressed', on);
    toggles[button.dataset.toggle]?.(controlled(button), on);
  });

  function followLogs() {
    for (const button of $$('[data-toggle=follow]')) {
      const log = controlled(button);
      if (!log || log.dataset.followed) continue;
      log.dataset.followed = '1';
      new MutationObserver(() => pressed(button) && toEnd(log)).observe(log, {childList: true, subtree: true});
      log.addEventListener('scroll', () => {
        const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
        if (!atEnd && pressed(button) && log.dataset.top > log.scrollTop) button.setAttribute('aria-pressed', 'false');
        log.dataset.top = log.scrollTop;
      }, {passive: true});
      if (pressed(button) && !location.hash) toEnd(log);
    }
  }
  document.addEventListener('htmx:after:settle', followLogs);

  /* ---------- keyboard ---------- */
  let waitingForPlace = 0;
  document.addEventListener('keydown', (event) => {
    if (body.dataset.shortcuts !== 'on' || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest?.('input,textarea,select,[contenteditable]') || $('dialog[open]')) return;
    if (Date.now() - waitingForPlace < 1500) {
      waitingForPlace = 0;
      const link = $$('.nav-l [data-key]').find((each) => each.dataset.key === event.key);
      if (link) { event.preventDefault(); link.click(); }
    } else if (event.key === 'g') {
      waitingForPlace = Date.now();
    } else if (event.key === '/') {
      const find = $('[data-find]') || $('input[type=search]');
      if (find) { event.preventDefault(); find.focus(); }
    } else if (event.key === '?') {
      $('#keys')?.showModal();
    }
  });

  localise(document);
  refreshAges();
  offerZone();
  followLogs();
  setInterval(refreshAges, 1000);
  setInterval(watch, 1000);
})();
