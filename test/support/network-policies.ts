import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from 'kubernetes-types/networking/v1.js';
import type { Manifest } from './kustomize.ts';
import { type Pod, selects } from './pods.ts';

type Rule = { ports?: NetworkPolicyPort[]; peers?: NetworkPolicyPeer[] };

/** Whether the NetworkPolicies let a pod open a connection to a port of another pod. Either may be outside. */
export function mayConnect(
  manifests: Manifest[],
  from: Pod,
  to: Pod,
  port: number,
  protocol: 'TCP' | 'UDP' = 'TCP',
): boolean {
  const policies = manifests.filter(({ kind }) => kind === 'NetworkPolicy') as NetworkPolicy[];
  const isHere = (pod: Pod) => pod.namespaceLabels === undefined;
  const allows = (type: 'Ingress' | 'Egress', pod: Pod, peer: Pod): boolean => {
    if (!isHere(pod)) return true; // its policies are not ours
    const ofPod = policies
      .map(({ spec }) => spec)
      .filter((spec) => spec?.policyTypes?.includes(type) && selects(spec.podSelector, pod.labels));
    if (ofPod.length === 0) return true;
    const rules = ofPod.flatMap((spec): Rule[] =>
      type === 'Ingress'
        ? (spec?.ingress ?? []).map(({ ports, from: peers }) => ({ ports, peers }))
        : (spec?.egress ?? []).map(({ ports, to: peers }) => ({ ports, peers })),
    );
    return rules.some(
      ({ ports, peers }) =>
        (peers?.some((one) => isPeer(one, peer)) ?? true) && (ports?.some((one) => isPort(one)) ?? true),
    );
  };
  const isPort = ({ port: wanted, protocol: over = 'TCP' }: NetworkPolicyPort) => {
    const named = to.container.ports?.find(({ name }) => name === wanted)?.containerPort;
    return over === protocol && (named ?? wanted) === port;
  };
  const isPeer = ({ podSelector, namespaceSelector }: NetworkPolicyPeer, pod: Pod) =>
    (namespaceSelector ? selects(namespaceSelector, pod.namespaceLabels ?? {}) : isHere(pod)) &&
    selects(podSelector ?? {}, pod.labels);
  return allows('Egress', from, to) && allows('Ingress', to, from);
}
