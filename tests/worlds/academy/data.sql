INSERT INTO departments VALUES (1,'History','Old Wing',90000),(2,'Physics','Tower',250000),(3,'Music','Annex',60000);
INSERT INTO lecturers VALUES (1,'Orla Finn',1,52000,'2010-09-01'),(2,'Piet Vos',2,71000,'2014-02-01'),(3,'Quinn Abel',2,64000,'2019-10-15'),(4,'Rosa Lind',3,48000,'2021-01-11');
INSERT INTO students VALUES (1,'Ana','Ruiz',19,'F','Leiden',1,3.4),(2,'Ben','Okoro',22,'M','Delft',2,3.9),(3,'Cara','Holt',20,'F','Leiden',2,2.8),(4,'Dov','Katz',25,'M','Breda',3,3.1),(5,'Eva','Ruiz',21,'F','Delft',2,3.6);
INSERT INTO courses VALUES (1,'Ancient Trade',3,1,1),(2,'Optics',5,2,2),(3,'Mechanics',6,2,3),(4,'Harmony',3,3,4),(5,'Waves',5,2,2);
INSERT INTO enrolments VALUES (1,1,'spring',8),(2,2,'spring',9),(2,3,'autumn',7),(3,2,'spring',5),(5,3,'autumn',9),(5,5,'autumn',8),(2,5,'autumn',6);
INSERT INTO pets VALUES (1,'cat',3,4.2),(2,'dog',5,18.0),(3,'dog',1,6.5),(4,'hamster',1,0.2);
INSERT INTO has_pet VALUES (1,1),(2,2),(2,1),(3,3);
