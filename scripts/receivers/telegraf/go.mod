module telegraf

go 1.26.0
