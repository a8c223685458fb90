'use strict';
// Keeps the values of the page up to date. The token is in this variable only: it is gone with the page, and it is sent
// in a header, never in a URL.
(() => {
    const period = 2000;
    let token = '';
    let timer = 0;
    let polling = false;

    // The rules of value_format.cpp.
    const threeDigits = (n) => {
        const decimals = n < 10 ? 2 : n < 100 ? 1 : 0;
        const scale = 10 ** decimals;
        return (Math.floor(n * scale + 0.5) / scale).toFixed(decimals);
    };
    const grouped = (n) => Math.floor(n + 0.5).toFixed(0).replace(/\B(?=(\d{3})+$)/g, ',');
    const bytes = (n) => {
        let unit = 0;
        for (; n >= 1024 && unit < 5; n /= 1024) ++unit;
        return (unit === 0 ? grouped(n) : threeDigits(n)) + ' ' + ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'][unit];
    };
    const latency = (s) => s < 1e-3 ? Math.floor(s * 1e6 + 0.5) + ' \u00b5s' : s < 1 ? threeDigits(s * 1e3) + ' ms'
        : threeDigits(s) + ' s';
    const duration = (value) => {
        const s = Math.trunc(value);
        const whole = (n) => Math.trunc(n);
        if (s < 60) return s + ' s';
        if (s < 3600) return whole(s / 60) + ' min ' + s % 60 + ' s';
        if (s < 86400) return whole(s / 3600) + ' h ' + whole(s / 60) % 60 + ' min';
        return whole(s / 86400) + ' d ' + whole(s / 3600) % 24 + ' h';
    };
    const numbers = {
        bytes, duration, seconds: latency, decimal: threeDigits,
        rate: (n) => bytes(n) + '/s',
        per_second: (n) => threeDigits(n) + '/s',
        percent: (n) => threeDigits(n * 100) + ' %',
    };
    const textOf = (format, value) => {
        if (typeof value === 'number') return (numbers[format] || grouped)(value);
        if (typeof value === 'boolean') return value ? 'yes' : 'no';
        if (typeof value !== 'string') return '\u2013';
        if (format === 'time' && value.length >= 20) return value.slice(0, 10) + ' ' + value.slice(11, 19) + ' UTC';
        return value;
    };

    // Leaves what has not changed alone, so that a selection stays.
    const setText = (element, text) => {
        if (element.textContent !== text) element.textContent = text;
    };
    const find = (values, place) =>
        place.split('/').slice(1).reduce((value, key) => value === null || value === undefined ? null : value[key], values);

    const show = (values) => {
        for (const element of document.querySelectorAll('[data-v]')) {
            const value = find(values, element.dataset.v);
            const format = element.dataset.f;
            if (format === 'meter') {
                element.value = value || 0;
                continue;
            }
            const text = textOf(format, value);
            if (format === 'state') element.dataset.state = text;
            setText(element, text);
        }
        for (const list of document.querySelectorAll('[data-list]')) showList(list, find(values, list.dataset.list) || []);
    };

    const make = (tag, text, name) => {
        const element = document.createElement(tag);
        element.textContent = text;
        if (name) element.className = name;
        return element;
    };
    const lineOf = (line) => {
        const item = document.createElement('li');
        const about = make('small', textOf('time', line.at) + ' ');
        about.append(make('span', line.level, 'level'), ' ' + line.request_id);
        item.append(about, document.createElement('br'), line.message + ' ', make('small', line.details));
        return item;
    };
    const showList = (list, values) => {
        const key = JSON.stringify(values);
        if (list.dataset.key === key) return;
        list.dataset.key = key;
        const items = values.map((value) => typeof value === 'string' ? make('li', value) : lineOf(value));
        if (items.length === 0 && list.dataset.none) items.push(make('li', list.dataset.none));
        list.replaceChildren(...items);
    };

    const say = (text) => {
        const place = document.getElementById('live');
        if (place) setText(place, text);
    };
    const get = (path) => fetch(path, {
        headers: token ? {Authorization: 'Bearer ' + token} : {},
        cache: 'no-store',
        signal: AbortSignal.timeout(10000),
    });

    // Takes the page itself again: after the token was given, and after a restart, when there may be other volumes.
    const open = async () => {
        const response = await get('/_status');
        if (!response.ok) return response.status;
        const page = new DOMParser().parseFromString(await response.text(), 'text/html');
        document.title = page.title;
        document.querySelector('main').replaceWith(page.querySelector('main'));
        return response.status;
    };
    const instance = () => document.querySelector('main').dataset.instance;

    // One at a time: the next one is due a period after the end of the last.
    const poll = async () => {
        if (polling) return;
        polling = true;
        clearTimeout(timer);
        const again = await refresh();
        polling = false;
        if (again) timer = setTimeout(tick, period);
    };
    const refresh = async () => {
        try {
            const response = await get('/_status.json');
            if (response.status === 401 || response.status === 403) {
                say('These values are no longer updated: load the page again and give the token.');
                return false;
            }
            if (!response.ok) throw new Error(response.status);
            const values = await response.json();
            if (values.instance !== instance()) await open();
            show(values);
            say('They are updated every 2 seconds.');
        } catch {
            say('No response from the daemon: these values are old. Trying again.');
        }
        return true;
    };
    const tick = () => {
        if (!document.hidden) poll();
    };
    document.addEventListener('visibilitychange', () => {
        if (instance()) tick();
    });

    const form = document.querySelector('form');
    if (!form) {
        timer = setTimeout(tick, period);
        return;
    }
    form.addEventListener('submit', async (event) => {
        event.preventDefault();
        token = form.elements.token.value.trim();
        try {
            const status = await open();
            if (status === 200) {
                document.querySelector('h1').focus();
                timer = setTimeout(tick, period);
            } else {
                say(status === 403 || status === 401 ? 'This is not the ManagementToken.' : 'The daemon responds with ' + status + '.');
            }
        } catch {
            say('No response from the daemon.');
        }
    });
})();
