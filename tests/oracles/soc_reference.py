"""The published SOC rules in plain Python, host by host: slow, obvious, and independent of the compiled rules."""

import random

VALUES = (0.6, 0.8, 0.7, 1.0, 0.9)
WEAKNESS = (0.40, 0.30, 0.35, 0.20, 0.25)
REACH = ((1, 2), (0, 2, 3), (1, 3, 4), (1, 2, 4), (2, 3))
NOISE = (0.1, 0.3, 0.5, 0.4, 0.6)


class Host:
    def __init__(self, segment, rng):
        self.segment = segment
        self.weakness = min(max(rng.gauss(WEAKNESS[segment], 0.1), 0.05), 0.95)
        self.clear()

    def clear(self):
        self.stage, self.compromised, self.detected, self.isolated = 0, False, False, False


class World:
    """One network. ``actions`` maps roles to lists or an int; a missing role does nothing."""

    def __init__(self, seed, hosts=40, limit=200):
        self.rng = random.Random(seed)
        self.limit, self.per_segment = limit, hosts
        self.hosts = [Host(s, self.rng) for s in range(5) for _ in range(hosts)]
        self.reset()

    def reset(self):
        for host in self.hosts:
            host.clear()
        self.step_number = self.phase = self.phase_steps = 0
        self.targets, self.victims, self.queue = [], [], []
        self.stolen = False
        self.directive = [0.0] * 8
        self.first_detection = self.contained_at = None
        self.tp = self.fp = self.scans = 0
        self.total = 0.0
        self.done = False

    def chance(self, p):
        return self.rng.random() < p

    def step(self, actions):
        self.step_number += 1
        before = self.phase
        self.attack()
        visibility = NOISE[self.phase] * 0.3
        if before >= 1 and self.chance(2 * visibility):
            self.queue.append({"severity": min(1, before / 4), "segment": 0, "true": True})
        if self.chance(0.3):
            segment = self.rng.randrange(5)
            self.queue.append({"severity": self.rng.uniform(0, 0.5), "segment": segment, "true": False})
        self.queue = self.queue[-50:]
        if "coordinator" in actions:
            self.directive = list(actions["coordinator"])
        false_scans, found = self.hunt(actions["hunter"]) if "hunter" in actions else (0, [])
        missed = self.triage(actions["triage"]) if "triage" in actions else 0
        response, cost, contained = self.respond(actions["responder"]) if "responder" in actions else (0, 0, False)
        detection = sum(host.stage / 5 for host in found) - 10 * self.stolen
        reward = detection + 1.5 * (response + 5 * contained) - 0.3 * cost - (false_scans + missed)
        self.total += reward
        if contained:
            self.contained_at = self.step_number
        self.done = contained or self.stolen or self.step_number >= self.limit
        return reward

    def attack(self):
        self.phase_steps += 1
        success = (self.scout, self.access, self.execute, self.move, self.steal)[self.phase]()
        if success and self.phase_steps >= 3 and self.phase < 4:
            self.phase += 1
            self.phase_steps = 0

    def scout(self):
        free = [h for h in self.hosts[: self.per_segment] if not h.compromised and not h.isolated]
        self.targets = sorted(free, key=lambda h: -h.weakness)[:5]
        return bool(self.targets)

    def access(self):
        hits = [h for h in self.targets if not h.isolated and self.chance(0.5 * h.weakness)]
        for host in hits:
            host.compromised, host.stage = True, 1
            self.victims.append(host)
        return bool(hits)

    def execute(self):
        changed = False
        for host in self.victims:
            if not host.isolated and host.stage < 2 and self.chance(0.6):
                host.stage = 2
                changed = True
        return changed

    def move(self):
        sources = {h.segment for h in self.victims if not h.isolated}
        new = False
        for source in sorted(sources):
            for segment in REACH[source]:
                free = [h for h in self.hosts if h.segment == segment and not h.compromised and not h.isolated]
                if not free:
                    continue
                host = self.rng.choice(free)
                if self.chance(0.4 * host.weakness):
                    host.compromised, host.stage = True, 3
                    self.victims.append(host)
                    new = True
        return new

    def steal(self):
        ready = [h for h in self.victims if not h.isolated and h.stage >= 3 and VALUES[h.segment] >= 0.9]
        for host in ready:
            host.stage = 4
        if ready and self.chance(0.3):
            self.stolen = True
        return self.stolen

    def hunt(self, action):
        false_scans, found = 0, []
        for segment in range(5):
            intensity = min(1, (action[segment] + 1) / 2 + 0.15 * (self.directive[0] + 1))
            scope = min(1, (action[5 + segment] + 1) / 2 + 0.1 * (self.directive[1] + 1))
            if intensity <= 0.3:
                continue
            for host in (h for h in self.hosts if h.segment == segment):
                self.scans += 1
                if host.compromised:
                    if not host.detected and self.chance(intensity * scope * 0.65 * host.stage / 5):
                        host.detected = True
                        found.append(host)
                elif intensity > 0.7 and self.chance(0.05):
                    false_scans += 1
        self.tp += len(found)
        self.fp += false_scans
        if found and self.first_detection is None:
            self.first_detection = self.step_number
        return false_scans, found

    def triage(self, choice):
        if not self.queue:
            return 0
        alert = self.queue[0]
        if choice == 2:
            same = [a for a in self.queue if a["segment"] == alert["segment"]]
            best = max(same, key=lambda a: a["severity"])
            self.queue = [a for a in self.queue if a["segment"] != alert["segment"] or a is best]
        elif choice < 2:
            self.queue.pop(0)
            if choice == 1:
                return int(alert["true"])
            self.tp += alert["true"]
            self.fp += not alert["true"]
        return 0

    def respond(self, action):
        reward = cost = 0.0
        for segment in range(5):
            members = [h for h in self.hosts if h.segment == segment]
            urgency = min(1, (action[segment] + 1) / 2 + 0.1 * (self.directive[4] + 1))
            for host in members:
                if urgency > 0.5 and host.detected and host.compromised and not host.isolated and self.chance(urgency):
                    host.isolated = True
                    cost += 0.1 * VALUES[segment]
                    reward += 1 / max(1, self.step_number - self.first_detection)
            for host in members:
                if urgency > 0.9 and not host.compromised and self.chance(0.02):
                    host.isolated = True
                    cost += 0.2 * VALUES[segment]
            remedy = (action[5 + segment] + 1) / 2
            for host in members:
                if remedy > 0.5 and host.isolated and host.compromised and self.chance(remedy):
                    host.clear()
        held = [h for h in self.hosts if h.compromised]
        return reward, cost, bool(held) and all(h.isolated for h in held)

    def metrics(self):
        return {
            "mttd": self.first_detection or self.limit,
            "mttr": self.contained_at or self.limit,
            "fpr": min(1, self.fp / max(1, self.scans - self.tp)),
            "csr": float(self.contained_at is not None),
            "length": self.step_number,
            "exfiltrated": float(self.stolen),
            "compromised": sum(h.compromised for h in self.hosts),
            "reward": self.total,
        }
