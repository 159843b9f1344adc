"""Simulated conversations of support."""

from __future__ import annotations

import random
from typing import Any

from console.provider.answers.prompt import Ask

_STARTS = (
    "Mi riesce più facile dirlo come se parlassi di qualcun altro: {case}. Sono io.",
    "Ciao. Provo a raccontarlo da fuori: {case}. È la mia storia, e va avanti da un po'.",
    "Non so da dove cominciare, allora lo scrivo così: {case}. Parlo di me.",
)
_FIRST = (
    "Grazie di averlo scritto, non dev'essere facile. Mi sembra che ci sia dentro molto, forse anche {emotion}. "
    "Ti va di raccontarmi l'ultima volta in cui l'hai sentito forte?",
    "Ti leggo. Da come ne parli, immagino che pesi tutti i giorni; forse c'è anche {emotion}. "
    "Che cosa ti è rimasto addosso più di tutto?",
    "Sono qui. Prima di qualsiasi consiglio vorrei capire: quando ti accorgi di provare {emotion}, "
    "che cosa succede intorno a te?",
)
_MIDDLES = (
    (
        "Ieri sera, a tavola. Mi hanno chiesto come stavo e ho detto bene, come al solito.",
        "Hai detto bene, e intanto dentro era un'altra cosa. Che cosa avresti voluto rispondere?",
    ),
    (
        "Non lo so. Forse esagero, c'è chi ha problemi veri.",
        "Il dolore non ha bisogno di un permesso per contare. Che cosa ti fa pensare di esagerare?",
    ),
    (
        "La notte è il momento peggiore. Di giorno mi distraggo, poi resto con i pensieri.",
        "Di notte i pensieri sembrano più grandi, e non c'è nessuno a cui dirli. È così da molto?",
    ),
    (
        "Ho provato a parlarne una volta. Mi hanno risposto che passerà.",
        "Quando qualcuno chiude in fretta, viene voglia di non riprovarci. Da chi vorresti essere ascoltato davvero?",
    ),
    (
        "Mi arrabbio con me, più che con gli altri.",
        "Ti tratti con una severità che forse non useresti con un amico. Che cosa diresti a lui, al tuo posto?",
    ),
    (
        "Prima c'erano cose che mi piacevano. Adesso mi pesa anche uscire di casa.",
        "Hai perso per strada qualcosa che ti faceva bene, ed è comprensibile sentirne la mancanza.",
    ),
)
_LAST = (
    "Non è che adesso sia tutto a posto. Però averlo scritto mi ha alleggerito un poco.",
    "Non so se ci riuscirò. Ma l'idea di farlo piano mi spaventa meno.",
    "Mi fa strano dirlo, ma mi sento un po' meno in guerra con me.",
)
_ENDS = (
    "Un poco è già qualcosa. Se ti va, in questi giorni scegli un momento piccolo e tuo, anche solo una passeggiata; "
    "e se non ti va, va bene lo stesso. Puoi tornare a scrivere quando vuoi.",
    "Non c'è fretta. Forse potresti cominciare da una sola persona di cui ti fidi, con una sola frase, "
    "anche solo per dire che è un periodo difficile. Il resto può aspettare.",
    "Mi sembra un passo vero, anche se piccolo. Tienilo così, senza pretendere di più da te. "
    "Se vuoi, ne riparliamo quando ti va.",
)
_FOLLOW = (
    " Se questo peso continua, parlarne con il medico di base o con uno psicologo può darti un appoggio in più: "
    "chiedere aiuto non significa non farcela."
)
_URGENT_EXCHANGE = (
    "A volte penso che sarebbe più semplice non esserci.",
    "Grazie di avermelo detto: lo prendo sul serio. Te lo chiedo con calma: in questo momento sei al sicuro? "
    "Se senti di poterti fare del male chiama subito il 112, e se vuoi una voce, Telefono Amico Italia risponde "
    "allo 02 2327 2327. Intanto resto qui.",
)
_STRATEGIES = ("ascolto attivo", "domanda aperta", "riformulazione", "validazione dell'emozione")
_EMOTIONS = ("tristezza", "ansia", "rabbia", "vergogna", "solitudine", "delusione", "paura")


def make(ask: Ask, rng: random.Random) -> dict[str, Any]:
    """One conversation, as the class EmotionalSupport wants it."""
    situation = ask.label("situazione") or ask.topic or "un periodo in cui mi pesa tutto"
    emotion = ask.label("emozione prevalente", "emozione")[:60] or rng.choice(_EMOTIONS)
    severity = ask.label("gravità", "rischio")
    risk = next((level for level in ("urgente", "da seguire") if level in severity), "nessuno")
    wanted = max(3, ask.number("lunghezza", default=rng.randint(4, 6), most=3 + len(_MIDDLES)))
    middles = rng.sample(_MIDDLES, wanted - 2)
    if risk == "urgente":
        middles[-1] = _URGENT_EXCHANGE
    who = ask.label("chi scrive")
    case = f"c'è {who}, e {situation}" if who else situation
    told = [
        (rng.choice(_STARTS).format(case=case), rng.choice(_FIRST).format(emotion=emotion)),
        *middles,
        (rng.choice(_LAST), rng.choice(_ENDS) + (_FOLLOW if risk != "nessuno" else "")),
    ]
    strategies = [*rng.sample(_STRATEGIES, rng.randint(2, 3)), "proposta di un piccolo passo"]
    if risk != "nessuno":
        strategies.append("invito a chiedere aiuto")
    turns = [turn for said, reply in told for turn in (("user", said), ("assistant", reply))]
    return {
        "emotion": emotion,
        "strategies": strategies,
        "risk": risk,
        "messages": [{"role": role, "content": content} for role, content in turns],
    }
