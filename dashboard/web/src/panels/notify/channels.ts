/** Ways to notify. */

import { api } from '../../api';
import type { App } from '../../app';
import { texts } from '../../texts';
import { collectionTab } from '../../ui/collection';
import { field, h, iconButton, options } from '../../ui/dom';
import type { Tab } from '../../ui/tabs';
import type { ChannelEdit, ChannelInfo } from '../../wire/types';

type Kind = ChannelInfo['type'];
const KINDS: readonly Kind[] = ['webhook', 'email', 'mqtt'];

const targetOf = (channel: ChannelInfo): string => channel.url ?? channel.to?.join(', ') ?? channel.topic ?? '';

export function channelsTab(app: App): Tab {
  return collectionTab<ChannelInfo, ChannelEdit>({
    empty: texts.notify.noChannels,
    create: texts.notify.newChannel,
    load: api.channels,
    describe: (channel) => `${texts.notify.channelKinds[channel.type]} · ${targetOf(channel)}`,
    actions: (channel) => [iconButton('alerts', texts.notify.test(channel.name), () => {
      api.testChannel(channel.id).then(() => app.toast(texts.notify.testSent(channel.name))).catch(app.report);
    })],
    save: (id, edit) => (id === null ? api.createChannel(edit) : api.changeChannel(id, edit)),
    remove: api.deleteChannel,
    form: (existing) => {
      const kind = h('select', {});
      options(kind, KINDS.map((k) => [k, texts.notify.channelKinds[k]] as const), existing?.type ?? 'webhook');
      // What a channel is stays what it is: its rules count on it.
      kind.disabled = existing !== null;
      const url = h('input', { type: 'url', value: existing?.url ?? '', placeholder: 'https://hooks.example.org/waystream' });
      const secret = h('input', { type: 'password', autocomplete: 'new-password', placeholder: existing ? texts.notify.secretKept : texts.notify.secretHint });
      const to = h('input', { value: existing?.to?.join(', ') ?? '', placeholder: 'dispatch@example.org, night@example.org' });
      const topic = h('input', { value: existing?.topic ?? '', placeholder: 'alerts/{fleet}/{device}/{kind}' });
      const fields: Record<Kind, HTMLElement[]> = {
        webhook: [field(texts.notify.url, url), field(texts.notify.secret, secret)], email: [field(texts.notify.recipients, to)], mqtt: [field(texts.notify.topic, topic)],
      };
      const chosen = (): Kind => kind.value as Kind;
      const show = (): void => KINDS.forEach((k) => fields[k].forEach((element) => { element.hidden = k !== chosen(); }));
      kind.onchange = show;
      show();
      return {
        fields: [field(texts.notify.kind, kind), ...KINDS.flatMap((k) => fields[k])],
        edit: (name) => {
          switch (chosen()) {
            case 'webhook': return { name, type: 'webhook', url: url.value.trim(), ...(secret.value === '' ? {} : { secret: secret.value }) };
            case 'email': return { name, type: 'email', to: to.value.split(/[\s,;]+/).filter((address) => address !== '') };
            case 'mqtt': return { name, type: 'mqtt', topic: topic.value.trim() };
          }
        },
      };
    },
  });
}
