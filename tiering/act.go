package tiering

// String returns the act's name.
func (a Act) String() string {
	switch a {
	case Hold:
		return "Hold"
	case Stay:
		return "Stay"
	case Move:
		return "Move"
	case WouldMove:
		return "WouldMove"
	case Moving:
		return "Moving"
	case Recover:
		return "Recover"
	}
	return "Hold"
}
