"""Operations that are the same for every service: settings, logging, processes."""
